"""What evaluation computes per task. Loops over data are in evaluation."""

"""Images for training and prediction: reading files, class data sets, transforms and batches."""

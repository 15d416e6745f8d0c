"""Drawing: images, boxes, masks, text, sheets. What is drawn comes from results, data and metrics."""

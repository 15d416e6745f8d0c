"""Images with boxes and shapes: COCO, LVIS, YOLO, Pascal VOC, CSV."""

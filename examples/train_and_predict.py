"""Train on class folders, then use the model: `python examples/train_and_predict.py FOLDER PICTURE…`."""

import sys

import swinkit

run = swinkit.train(sys.argv[1], model="swin_nano", epochs=5)
print(run.path, run.metrics)

model = swinkit.load(run.path)
for result in model.predict(sys.argv[2:]):
    print(result.path, result.names[0], f"{result.scores[0]:.1%}")
print(model.embed(sys.argv[2:]).shape)

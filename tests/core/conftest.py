import torch

# the models here are tiny: on shared cores a second thread only waits for the first (16 s became 1.5 s)
torch.set_num_threads(1)

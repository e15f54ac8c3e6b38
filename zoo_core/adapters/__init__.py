"""What component plugins share: checks of widths (light), and holders of libraries' modules (torch).

Modules are imported one by one: `widths` and `weights` are light, the rest import torch.
"""

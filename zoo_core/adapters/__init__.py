"""What component plugins share: settings and checks of widths, and holders of libraries' modules.

Modules are imported one by one: `unet_config`, `widths` and `weights` are light, the rest import torch.
"""

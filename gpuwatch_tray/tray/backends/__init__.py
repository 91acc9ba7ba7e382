"""One way for each system to draw the icon and its menu; only these files know pystray."""

"""The running process: its graph, the loop, the tray and headless applications, what a click does."""

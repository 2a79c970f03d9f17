"""Files, processes, devices, memory and jobs of several processes: what all rooms run on."""

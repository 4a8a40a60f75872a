"""The engine ``ray``, as a plug-in: any number of processes on any number of machines, of which some may die."""

"""What runs in the agent container on a Docker host: one job in, its report out.

Started by the operator through the Docker API.
"""

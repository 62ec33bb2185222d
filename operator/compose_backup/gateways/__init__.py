"""All IO of the operator: the Kubernetes API, Docker Engines, tunnels. Built in handlers.py, called by reconcile."""

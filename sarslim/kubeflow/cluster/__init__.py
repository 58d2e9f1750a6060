"""Runs on a cluster: sent there, watched, read and taken up again, over the API of Kubeflow Pipelines."""

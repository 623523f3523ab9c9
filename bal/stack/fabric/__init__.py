"""Hyperledger Fabric on one machine: three organisations with peers, orderers and chaincode of their own."""

from bal.stack.fabric.server import Fabric

__all__ = ["Fabric"]

"""The certification contract as a service that a Fabric peer calls (chaincode as a service)."""

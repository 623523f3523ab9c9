"""The certification contract on Hyperledger Fabric: anchors, what other peers say, and the blocks themselves."""

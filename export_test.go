package coap

// Poison has receive buffers overwritten where they are given back, in all tests.
func Poison() { poison = true }

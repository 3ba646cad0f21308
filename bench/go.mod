module github.com/motewire/coap/bench

go 1.25.0

replace github.com/motewire/coap => ../

require (
	github.com/motewire/coap v0.0.0-00010101000000-000000000000
	github.com/plgd-dev/go-coap/v3 v3.5.5
	golang.org/x/sys v0.47.0
)

require (
	github.com/dsnet/golib/memfile v1.0.0 // indirect
	github.com/pion/dtls/v3 v3.1.5 // indirect
	github.com/pion/logging v0.2.4 // indirect
	github.com/pion/transport/v4 v4.0.2 // indirect
	go.uber.org/atomic v1.11.0 // indirect
	golang.org/x/crypto v0.55.0 // indirect
	golang.org/x/exp v0.0.0-20260611194520-c48552f49976 // indirect
	golang.org/x/net v0.58.0 // indirect
	golang.org/x/sync v0.21.0 // indirect
)

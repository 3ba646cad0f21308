package pcapng_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"github.com/motewire/coap/pcapng"
)

func ExampleWriter_WriteDatagram() {
	var file bytes.Buffer
	w, err := pcapng.NewWriter(&file)
	if err != nil {
		fmt.Println(err)
		return
	}
	ping := []byte{0x40, 0, 0x30, 0x39}
	client := netip.MustParseAddrPort("192.0.2.1:49152")
	server := netip.MustParseAddrPort("192.0.2.2:5683")
	fmt.Println(w.WriteDatagram(time.Unix(1700000000, 0), client, server, ping))
	fmt.Println(w.Close())
	fmt.Printf("% x\n", file.Bytes()[:4])
	// Output:
	// <nil>
	// <nil>
	// 0a 0d 0d 0a
}

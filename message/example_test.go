package message_test

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/motewire/coap/message"
)

func ExampleView_Parse() {
	datagram := []byte("\x41\x01\x7d\x35\x20\xbbtemperature\x46u=cels")
	var v message.View
	if err := v.Parse(datagram); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(v.Type(), v.Code().Name(), v.Token())
	for segment := range v.PathSegments() {
		fmt.Printf("%s\n", segment)
	}
	for argument := range v.Queries() {
		fmt.Printf("%s\n", argument)
	}
	// Output:
	// CON GET 20
	// temperature
	// u=cels
}

func ExampleFormatError() {
	var v message.View
	err := v.Parse([]byte("\x40\x01\x7d\x34\xff"))
	var format *message.FormatError
	if errors.As(err, &format) && format.Intact && v.Type() == message.Confirmable {
		fmt.Printf("%v: answer with a Reset of message ID %#x\n", err, v.ID())
	}
	// Output:
	// message: payload marker without payload at byte 4: answer with a Reset of message ID 0x7d34
}

func ExampleAppendHeader() {
	token, _ := message.MakeToken([]byte{0x20})
	e := message.AppendHeader(nil, message.Acknowledgement, message.Content, 0x7d35, token)
	e.OptionUint(message.ContentFormat, uint32(message.TextPlain))
	e.OptionUint(message.MaxAge, 30)
	datagram, err := e.Finish([]byte("22.3 C"))
	fmt.Printf("% x %v\n", datagram, err)
	// Output:
	// 61 45 7d 35 20 c0 21 1e ff 32 32 2e 33 20 43 <nil>
}

func ExampleView_Dump() {
	var v message.View
	if err := v.Parse([]byte("\x61\x45\x7d\x35\x20\xc0\x21\x1e\xff22.3 C")); err != nil {
		fmt.Println(err)
	}
	fmt.Println(&v)
	fmt.Printf("%+v\n", &v)
	// Output:
	// ACK 2.05 Content id=0x7d35 token=20 Content-Format: text/plain; charset=utf-8, Max-Age: 30, 6 B payload
	// ACK 2.05 Content id=0x7d35 token=20
	//   Content-Format: text/plain; charset=utf-8  [12]
	//   Max-Age: 30  [14 unsafe]
	//   6 B payload
	//     22.3 C
}

func ExampleView_UnrecognizedCritical() {
	recognized := message.NewOptionSet(message.URIPath, message.URIQuery, message.Accept)
	var v message.View
	if err := v.Parse([]byte("\x40\x01\x00\x01\xb1a\xe0\x06\xe9")); err != nil {
		fmt.Println(err)
	}
	n, bad := v.UnrecognizedCritical(&recognized)
	fmt.Println(uint16(n), bad)
	// Output:
	// 2049 true
}

func ExampleParseURI() {
	u, err := message.ParseURI("coap://Node.local/a%20b/../sensors/?unit=c")
	if err != nil {
		fmt.Println(err)
		return
	}
	to := netip.MustParseAddrPort("192.0.2.1:5683") // what the name resolves to
	for _, o := range u.AppendOptions(nil, to) {
		fmt.Println(o.Number, o.Number.FormatValue(o.Value))
	}
	fmt.Println(u.String())
	// Output:
	// Uri-Host node.local
	// Uri-Path sensors
	// Uri-Path ""
	// Uri-Query unit=c
	// coap://node.local/sensors/?unit=c
}

func ExampleComposeURI() {
	var v message.View
	if err := v.Parse([]byte("\x40\x01\x00\x01\xb3a b\x41c")); err != nil {
		fmt.Println(err)
	}
	fmt.Println(message.ComposeURI(&v, false, netip.MustParseAddrPort("[2001:db8::1]:61616")))
	// Output:
	// coap://[2001:db8::1]:61616/a%20b?c <nil>
}

func ExampleParseFormat() {
	for _, s := range []string{"json", "application/senml+cbor", "42"} {
		f, err := message.ParseFormat(s)
		fmt.Println(uint16(f), f, err)
	}
	// Output:
	// 50 application/json <nil>
	// 112 application/senml+cbor <nil>
	// 42 application/octet-stream <nil>
}

func ExampleParseCode() {
	c, _ := message.ParseCode("404")
	fmt.Println(c, c.Name())
	// Output:
	// 4.04 Not Found
}

func ExampleMessage() {
	m := message.Message{
		Type: message.NonConfirmable, Code: message.PUT, ID: 7,
		Options: []message.Option{
			{Number: message.ContentFormat, Value: []byte{50}},
			{Number: message.URIPath, Value: []byte("led")},
		},
		Payload: []byte("true"),
	}
	datagram, err := m.MarshalBinary()
	fmt.Printf("% x %v\n%v\n", datagram, err, &m)
	// Output:
	// 50 03 00 07 b3 6c 65 64 11 32 ff 74 72 75 65 <nil>
	// NON PUT id=0x0007 Uri-Path: led, Content-Format: application/json, 4 B payload
}

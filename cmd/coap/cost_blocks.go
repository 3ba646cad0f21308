package main

import (
	"bytes"
	"slices"

	"github.com/motewire/coap/message"
)

// What is reckoned at most: of a body's bytes, and of its blocks.
const (
	maxCostBody   = 1 << 24
	maxCostBlocks = 1 << 16
)

// blockTag is the ETag that each block of a response has (RFC 7959 §2.4), as long as in
// the examples there.
var blockTag = message.Option{Number: message.ETag, Value: bytes.Repeat([]byte{0xa5}, 4)}

// A costPair is a request and its response. A nil request is a notification's, which came
// long before.
type costPair struct{ request, answer *message.Message }

// pairs returns what goes to and fro: a request and its response, and where a body is
// longer than a block one pair more for each further block (RFC 7959 §2.7). Messages have
// no options for blocks but Block1, Block2 and ETag.
func (f *exchangeFlags) pairs(request, answer *message.Message) []costPair {
	var all []costPair
	further := message.Message{Type: message.Acknowledgement, Code: message.Continue, Token: request.Token}
	if f.non {
		further.Type = message.NonConfirmable
	}
	ups, downs := f.blocks(request.Payload), f.blocks(answer.Payload)
	for i := range ups - 1 {
		more := with(&further, f.blockOption(message.Block1, i, true))
		all = append(all, costPair{f.block(request, message.Block1, i), more})
	}
	last, first := f.block(request, message.Block1, ups-1), f.block(answer, message.Block2, 0)
	if ups > 1 {
		first = with(first, f.blockOption(message.Block1, ups-1, false))
	}
	if f.observe {
		last = nil
	}
	all = append(all, costPair{last, first})
	for i := 1; i < downs; i++ {
		next := f.block(answer, message.Block2, i)
		next.Type = further.Type
		next.Options = slices.DeleteFunc(next.Options, func(o message.Option) bool { return o.Number == message.Observe })
		all = append(all, costPair{f.asking(request, i, ups), next})
	}
	return all
}

// asking returns the request for a further block of the response. That of a FETCH says
// again what is wanted, unless that took blocks itself.
func (f *exchangeFlags) asking(request *message.Message, num, ups int) *message.Message {
	m := with(request, f.blockOption(message.Block2, num, false))
	if m.Code == message.FETCH && ups == 1 {
		return m
	}
	m.Payload = nil
	m.Options = slices.DeleteFunc(m.Options, func(o message.Option) bool { return o.Number == message.ContentFormat })
	return m
}

// blocks is how many blocks a body takes.
func (f *exchangeFlags) blocks(body []byte) int {
	size := 16 << f.blockSize.szx
	return max((len(body)+size-1)/size, 1)
}

// block returns a message with one block of its body, as it is where that is all.
func (f *exchangeFlags) block(m *message.Message, n message.OptionNumber, num int) *message.Message {
	of, size := f.blocks(m.Payload), 16<<f.blockSize.szx
	if of == 1 {
		return m
	}
	part := with(m, f.blockOption(n, num, num+1 < of))
	part.Payload = m.Payload[num*size : min((num+1)*size, len(m.Payload))]
	if n == message.Block2 {
		part.Options = append(part.Options, blockTag)
	}
	return part
}

func (f *exchangeFlags) blockOption(n message.OptionNumber, num int, more bool) message.Option {
	return uintOption(n, message.Block{Num: uint32(num), More: more, SZX: f.blockSize.szx}.Encode())
}

// with returns a message that has one option more.
func with(m *message.Message, o message.Option) *message.Message {
	c := *m
	c.Options = append(slices.Clone(m.Options), o)
	return &c
}

// checkBodies finds bodies that can't be reckoned.
func (f *exchangeFlags) checkBodies(bodies ...[]byte) error {
	if f.blockSize.single {
		return usageErrorf("-b %v: all blocks are reckoned; say a size alone", &f.blockSize)
	}
	for _, body := range bodies {
		if n := f.blocks(body); n > maxCostBlocks {
			return usageErrorf("a body of %d bytes has %d blocks, of which %d are reckoned at most; say a greater -b", len(body), n, maxCostBlocks)
		}
	}
	return nil
}

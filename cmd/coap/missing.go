package main

import (
	"errors"

	"github.com/motewire/coap"
)

// What later versions bring is refused here, and nowhere else.

// missing returns an error for flags that are understood and not carried out yet.
func (r *requestFlags) missing() error {
	switch {
	case r.block.set:
		return usageErrorf("-b: block-wise transfer is not supported yet; without -b a body goes in one message")
	}
	return nil
}

// missingBlocks returns an error for a request that takes block-wise transfer.
func missingBlocks(err error) error {
	if errors.Is(err, coap.ErrTooLarge) {
		return usageErrorf("the payload is too long for one message, and block-wise transfer is not supported yet")
	}
	return nil
}

// firstBlock returns an error for a response that holds part of its body.
func firstBlock(resp *coap.Response) error {
	if b, ok := resp.Message().Block2(); ok && (b.More || b.Num > 0) {
		return usageErrorf("the body is longer than this one block, and block-wise transfer is not supported yet")
	}
	return nil
}

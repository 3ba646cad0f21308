package blockwise

import (
	"fmt"

	"github.com/motewire/coap/message"
)

// DownloadConfig holds the wishes of a [Download]. Zero means the default.
type DownloadConfig struct {
	// BlockSize is the greatest block size in bytes that the server may use: a power of
	// two from 16 to 1024. Default: what the server likes.
	BlockSize int
	// Late leaves Block2 out of the first request: BlockSize then counts from the second
	// one on (RFC 7959 §3.1, late negotiation).
	Late bool
	// Start is the first block to fetch, counted in blocks of BlockSize, which is then
	// 1024 where it is not given: random access.
	Start uint32
	// Restarts is how often the download begins again where the representation changes
	// under way. Default 3; negative: never. For methods but GET and FETCH it must be
	// negative, as beginning again would run their handlers again.
	Restarts int
}

// A Download fetches the body of one response block by block (RFC 7959 §2.4). It keeps
// none of it. One goroutine owns it.
type Download struct {
	cfg    DownloadConfig
	szx    uint8 // of the next request
	asks   bool  // the next request has Block2
	begun  bool  // a first response is there
	start  int   // in bytes
	offset int   // of the block awaited
	head   head
	failed error
}

// A head is what all blocks of one representation have in common.
type head struct {
	code      message.Code
	etag      message.Tag // the zero one: none
	format    message.Format
	hasFormat bool
}

func headOf(v *message.View) (h head) {
	h.code = v.Code()
	h.etag, _ = v.ETag()
	h.format, h.hasFormat = v.ContentFormat()
	return h
}

// A Chunk is a piece of the body. Chunks come in order; after a restart they begin again,
// so that a body is put together, whatever happens, by
//
//	body = append(body[:c.Offset], c.Payload...)
//
// where Start is 0.
type Chunk struct {
	Offset  int    // in the body, in bytes
	Payload []byte // aliases the response
	Done    bool   // the body ends here
	Restart bool   // what came before is void; Payload is empty
}

// NewDownload returns a Download. Its error wraps ErrConfig.
func NewDownload(cfg DownloadConfig) (*Download, error) {
	orDefault(&cfg.Restarts, 3)
	d := &Download{cfg: cfg, szx: message.MaxSZX, asks: cfg.Start > 0 || cfg.BlockSize > 0 && !cfg.Late}
	if cfg.BlockSize != 0 {
		var ok bool
		if d.szx, ok = message.SZXForSize(cfg.BlockSize); !ok {
			return nil, fmt.Errorf("%w: BlockSize %d", ErrConfig, cfg.BlockSize)
		}
	}
	if cfg.Start > message.MaxBlockNum {
		return nil, fmt.Errorf("%w: Start %d", ErrConfig, cfg.Start)
	}
	d.start = int(cfg.Start) << (d.szx + 4)
	d.offset = d.start
	return d, nil
}

// Next returns the Block2 option of the next request, and false where it has none: the
// same until a response has come.
func (d *Download) Next() (b message.Block, asks bool) {
	return d.awaited(), d.asks
}

// Pin has the Download fail with ErrETagChanged, or ErrIncomplete, where it would begin
// again: for when what it gave out can't be taken back.
func (d *Download) Pin() { d.cfg.Restarts = 0 }

func (d *Download) awaited() message.Block {
	return message.Block{Num: uint32(d.offset >> (d.szx + 4)), SZX: d.szx}
}

// Add takes the response to the request that Next was for. Where the Chunk is not Done,
// Next has more to ask for; where it is, the Download is over. Its error, an [*Error], is
// final: around ErrTooLarge where 2**20 blocks do not hold the body, ErrETagChanged,
// ErrProtocol, or ErrIncomplete where the rest cannot be had. How much is to be held is for
// the caller to say, who sees Offset, Payload and Size2.
//
// A first response of any code is taken for what it is, an error response included.
func (d *Download) Add(v *message.View) (Chunk, error) {
	if d.failed != nil {
		return Chunk{}, d.failed
	}
	h := headOf(v)
	if !d.begun {
		d.head = h
	} else if c, changed, err := d.compare(h); changed {
		return c, err
	}
	b, blockwise := v.Block2()
	if err := d.check(v, b, blockwise); err != nil {
		return Chunk{}, err
	}
	c := Chunk{Offset: d.offset, Payload: v.Payload(), Done: !b.More}
	if !blockwise && !h.code.IsSuccess() {
		c.Offset = 0
	}
	if d.begun = true; c.Done {
		return c, nil
	}
	d.offset += len(c.Payload)
	// §2.3: "if the request suggested a larger value of SZX, the next request MUST move SZX
	// down to the size given in the response."
	d.szx, d.asks = min(d.szx, b.SZX), true
	if d.offset>>(d.szx+4) > message.MaxBlockNum {
		return Chunk{}, d.fail(ErrTooLarge, "", "")
	}
	return c, nil
}

// compare holds a later block against the first. Where they are not of one
// representation it begins again or fails.
func (d *Download) compare(h head) (c Chunk, changed bool, err error) {
	if !h.hasFormat {
		h.format, h.hasFormat = d.head.format, d.head.hasFormat
	}
	switch {
	case h == d.head:
		return Chunk{}, false, nil
	case gone(h.code):
		// The body became shorter, or what the server kept of it is gone.
		c, err = d.restart(ErrIncomplete, d.head.code.String(), h.code.String())
	case !h.code.IsSuccess():
		err = d.fail(ErrIncomplete, d.head.code.String(), h.code.String())
	case h.etag != d.head.etag:
		// §2.4: "the client, when reassembling the representation from the blocks being
		// exchanged, MUST compare ETag Options."
		c, err = d.restart(ErrETagChanged, "ETag "+d.head.etag.String(), "ETag "+h.etag.String())
	case h.code != d.head.code:
		err = d.fail(ErrProtocol, d.head.code.String(), h.code.String())
	default:
		// §2.3: "If blocks of a response body arrive with different Content-Format Options, it
		// is up to the client how to handle this error".
		err = d.fail(ErrProtocol, "Content-Format "+d.head.format.String(), "Content-Format "+h.format.String())
	}
	return c, true, err
}

// gone reports whether a response to a later block says that there is no such block.
func gone(code message.Code) bool {
	return code == message.BadRequest || code == message.BadOption || code == message.RequestEntityIncomplete
}

// restart begins again, in the block size that was agreed on.
func (d *Download) restart(cause error, want, got string) (Chunk, error) {
	if d.cfg.Restarts <= 0 {
		return Chunk{}, d.fail(cause, want, got)
	}
	d.cfg.Restarts--
	d.offset, d.begun = d.start, false
	return Chunk{Offset: d.start, Restart: true}, nil
}

// check holds a block against what was asked for.
func (d *Download) check(v *message.View, b message.Block, blockwise bool) error {
	payload := v.Payload()
	switch {
	case !blockwise && (d.offset > 0 && v.Code().IsSuccess() || v.Has(message.Block2)):
		return d.fail(ErrProtocol, "Block2 "+d.awaited().String(), "none")
	case blockwise && (!b.Valid() || b.Offset() != d.offset):
		return d.fail(ErrProtocol, "Block2 "+d.awaited().String(), "Block2 "+b.String())
	case b.More && len(payload) != b.Size():
		return d.fail(ErrProtocol, fmt.Sprintf("%d bytes", b.Size()), fmt.Sprintf("%d bytes", len(payload)))
	}
	return nil
}

func (d *Download) fail(cause error, want, got string) error {
	e := d.Where(cause)
	e.Want, e.Got = want, got
	d.failed = e
	return e
}

// Where returns an Error for a cause of the caller's, such as a time-out, that says which
// block was awaited.
func (d *Download) Where(cause error) *Error {
	return &Error{Block: d.awaited(), Offset: d.offset, Err: cause}
}

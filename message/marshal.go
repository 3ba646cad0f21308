package message

import (
	"bytes"
	"slices"
)

// An Option is one option of a message under construction.
type Option struct {
	Number OptionNumber
	Value  []byte
}

// SortOptions sorts into the ascending order that an [Encoder] wants; options of one
// number keep their order. It allocates nothing.
func SortOptions(options []Option) {
	slices.SortStableFunc(options, func(a, b Option) int { return int(a.Number) - int(b.Number) })
}

// A Message is a message as a plain value: a convenience for tools and tests, where
// allocation doesn't matter. On the way of a datagram use [View] and [Encoder].
type Message struct {
	Type    Type
	Code    Code
	ID      ID
	Token   Token
	Options []Option // in any order
	Payload []byte   // empty for none
}

// MarshalBinary encodes m, its options sorted as by [SortOptions]. It returns the errors
// of [Encoder].
func (m *Message) MarshalBinary() ([]byte, error) { return m.AppendBinary(nil) }

// AppendBinary is MarshalBinary into dst.
func (m *Message) AppendBinary(dst []byte) ([]byte, error) {
	options := slices.Clone(m.Options)
	SortOptions(options)
	e := AppendHeader(dst, m.Type, m.Code, m.ID, m.Token)
	for _, o := range options {
		e.Option(o.Number, o.Value)
	}
	return e.Finish(m.Payload)
}

// UnmarshalBinary decodes a datagram into m, which then shares no memory with it. It
// returns the errors of [View.Parse]; m is then unchanged.
func (m *Message) UnmarshalBinary(datagram []byte) error {
	var v View
	if err := v.Parse(datagram); err != nil {
		return err
	}
	*m = v.Message()
	return nil
}

// Clone returns a copy that shares no memory with m.
func (m *Message) Clone() *Message {
	c := *m
	c.Payload = bytes.Clone(m.Payload)
	c.Options = slices.Clone(m.Options)
	for i := range c.Options {
		c.Options[i].Value = bytes.Clone(c.Options[i].Value)
	}
	return &c
}

// Message returns a copy of v, which Parse has accepted, that shares no memory with the
// datagram.
func (v *View) Message() Message {
	m := Message{Type: v.Type(), Code: v.Code(), ID: v.ID(), Token: v.Token(), Payload: bytes.Clone(v.Payload())}
	for n, value := range v.Options() {
		m.Options = append(m.Options, Option{n, bytes.Clone(value)})
	}
	return m
}

// Clone returns a View of a copy of the datagram, for what must outlive it.
func (v *View) Clone() *View {
	c := *v
	c.datagram = bytes.Clone(v.datagram)
	return &c
}

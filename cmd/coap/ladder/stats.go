package ladder

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/motewire/coap/message"
)

// Stats are the figures of a capture.
type Stats struct {
	Datagrams, Bytes int // CoAP alone, without headers of IP and below
	Kinds            []KindCount
	Conversations    int
	Requests         int // new ones
	Unanswered       int // requests without a response, those to groups left out
	Confirmable      int // messages that were sent Confirmable, pings included
	Retransmissions  int
	Duplicates       int
	RoundTrips       []time.Duration // from a request's first transmission to its response, ascending
}

// A KindCount says how much of a capture is of one kind.
type KindCount struct {
	Name             string
	Datagrams, Bytes int
}

// Summarize counts what the conversations hold.
func Summarize(all []*Conversation) Stats {
	st := Stats{Conversations: len(all)}
	counts := map[string]*KindCount{}
	answered := map[*Step]bool{}
	for _, c := range all {
		for _, s := range c.Steps {
			st.add(s)
			name := kindName(s)
			if counts[name] == nil {
				counts[name] = &KindCount{Name: name}
			}
			counts[name].Datagrams++
			counts[name].Bytes += len(s.Raw)
			if s.Kind == Response && s.Answers != nil {
				answered[s.Answers] = true
			}
		}
	}
	st.Unanswered = unanswered(all, answered)
	for _, k := range counts {
		st.Kinds = append(st.Kinds, *k)
	}
	slices.SortFunc(st.Kinds, func(a, b KindCount) int {
		if a.Bytes != b.Bytes {
			return b.Bytes - a.Bytes
		}
		return slices.Compare([]byte(a.Name), []byte(b.Name))
	})
	slices.Sort(st.RoundTrips)
	return st
}

// add counts one step.
func (st *Stats) add(s *Step) {
	st.Datagrams++
	st.Bytes += len(s.Raw)
	switch s.Fate {
	case Resent:
		st.Retransmissions++
		return
	case Duplicate:
		st.Duplicates++
		return
	case Again:
		return
	}
	if s.Kind == Request {
		st.Requests++
	}
	if s.confirmable() {
		st.Confirmable++
	}
	if s.Kind == Response && s.Answers != nil {
		st.RoundTrips = append(st.RoundTrips, s.After)
	}
}

// unanswered counts requests without a response. To a group nobody needs to answer.
func unanswered(all []*Conversation, answered map[*Step]bool) (n int) {
	for _, c := range all {
		for _, s := range c.Steps {
			if s.Kind == Request && s.Fate == New && !answered[s] && !s.To.Addr().IsMulticast() {
				n++
			}
		}
	}
	return n
}

// kindName says what a datagram is, with its type where that makes a difference.
func kindName(s *Step) string {
	name := s.Kind.String()
	switch {
	case s.Fate == Resent:
		return name + ", retransmitted"
	case s.Fate != New:
		return name + ", repeated"
	case s.Kind == Malformed, s.View.Code() == message.Empty:
		return name
	}
	return name + ", " + s.View.Type().String()
}

// RetransmissionRate is the share of retransmissions among all transmissions of
// Confirmable messages.
func (st *Stats) RetransmissionRate() float64 {
	if st.Confirmable == 0 {
		return 0
	}
	return float64(st.Retransmissions) / float64(st.Confirmable+st.Retransmissions)
}

// Percentile returns the round-trip time that p percent of the exchanges are within; 0
// where there are none.
func (st *Stats) Percentile(p float64) time.Duration {
	n := len(st.RoundTrips)
	if n == 0 {
		return 0
	}
	rank := int(p/100*float64(n)+0.999999) - 1 // nearest rank
	return st.RoundTrips[min(max(rank, 0), n-1)]
}

// WriteText prints the figures as tables.
func (st *Stats) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "datagrams\tbytes\t share\t\n")
	for _, k := range st.Kinds {
		fmt.Fprintf(t, "%d\t%d\t%.1f %%\t  %s\n", k.Datagrams, k.Bytes, 100*float64(k.Bytes)/float64(max(st.Bytes, 1)), k.Name)
	}
	fmt.Fprintf(t, "%d\t%d\t\t  in all\n", st.Datagrams, st.Bytes)
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, `
conversations    %d
requests         %d, %d without a response
retransmissions  %d of %d transmissions of confirmable messages, %.1f %%
duplicates       %d
`, st.Conversations, st.Requests, st.Unanswered, st.Retransmissions, st.Confirmable+st.Retransmissions,
		100*st.RetransmissionRate(), st.Duplicates)
	if err != nil || len(st.RoundTrips) == 0 {
		return err
	}
	_, err = fmt.Fprintf(w, "round trips      %d: min %s, median %s, 90 %% within %s, 99 %% within %s, max %s\n",
		len(st.RoundTrips), span(st.RoundTrips[0]), span(st.Percentile(50)), span(st.Percentile(90)),
		span(st.Percentile(99)), span(st.RoundTrips[len(st.RoundTrips)-1]))
	return err
}

// Package trace holds traffic of language models as what matters to a prompt
// cache: who asked when, how long the prompts were and which of them begin
// alike. There is no text in it.
//
// A [Trace] is read from a file in the format pfx1 ([Read]) or made up by a
// seeded generator that was fitted to real ones ([Generate]).
package trace

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// A Trace is a list of requests over a trie of token blocks. Its nodes are
// numbered by their first appearance; node 0 is the root, the empty prompt.
type Trace struct {
	Name     string
	Block    int  // tokens a node
	Absolute bool // times count from the trace's start, not from their session's
	Requests []Request
}

// A Request is one row of a trace. The blocks of its prompt are the path of the
// node Attach followed by New nodes that no earlier row has, one below the
// other.
type Request struct {
	Time    time.Duration
	Session int // numbered from 0
	Parent  int // the session that started this one, or -1
	Prompt  int // tokens
	Output  int // tokens
	Took    time.Duration
	Attach  int
	New     int
}

// Sessions returns the number of sessions.
func (t *Trace) Sessions() int {
	n := 0
	for i := range t.Requests {
		n = max(n, t.Requests[i].Session+1)
	}
	return n
}

// Span returns the time from the start of a trace with absolute times to a
// little after its last request; zero for others.
func (t *Trace) Span() time.Duration {
	var last time.Duration
	if t.Absolute {
		for i := range t.Requests {
			last = max(last, t.Requests[i].Time)
		}
		last += time.Second
	}
	return last
}

// An Arrival is the time at which a request of the trace comes in.
type Arrival struct {
	At      time.Duration
	Request int // index into Trace.Requests
}

// Arrivals returns when the requests come in, in order. Sessions with relative
// times start at random, evenly over spread; those that another session started
// keep their distance to it. What comes after spread is cut off, so that the
// traffic does not thin out at its end. A trace with absolute times is returned
// as it is.
func (t *Trace) Arrivals(seed uint64, spread time.Duration) []Arrival {
	arrivals := make([]Arrival, 0, len(t.Requests))
	if t.Absolute {
		for i := range t.Requests {
			arrivals = append(arrivals, Arrival{t.Requests[i].Time, i})
		}
	} else {
		r := rand.New(rand.NewPCG(seed, 0x5ca1ab1e))
		starts := make([]time.Duration, t.Sessions())
		parents := make([]int, len(starts))
		for i := range t.Requests {
			parents[t.Requests[i].Session] = t.Requests[i].Parent
		}
		for i := range starts {
			starts[i] = time.Duration(r.Int64N(int64(spread))).Truncate(time.Millisecond)
		}
		for i := range t.Requests {
			s := t.Requests[i].Session
			for parents[s] >= 0 {
				s = parents[s]
			}
			if at := starts[s] + t.Requests[i].Time; at < spread {
				arrivals = append(arrivals, Arrival{at, i})
			}
		}
	}
	slices.SortStableFunc(arrivals, func(a, b Arrival) int { return cmp.Compare(a.At, b.At) })
	return arrivals
}

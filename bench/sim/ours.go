package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// The policies of this library are the library itself, driven as a gateway drives
// it. Time is that of the bubble that the driver runs in.

// A library is the router of such a policy: a Selector, and what requests are made
// of for it.
type library struct {
	driver   *driver
	selector *affinity.Selector[int]
	headers  []http.Header // by session
	zeros    []byte        // what all bodies are slices of

	// By segment of the trie: whether a prompt ends with it, and whether it does
	// and none ends with a segment above it.
	ends, head []bool

	// The request that is being routed, its number in the trace, and its
	// boundaries if bounded.
	request *extract.Request
	current int
	bounds  []extract.Boundary
	bounded bool
}

// bytesPerToken is how long a token is in a body.
const bytesPerToken = 4

// Where a prompt has boundaries: after every grain tokens, and at the ends of so many
// earlier prompts.
const (
	grain       = 1024
	earlierEnds = 4
)

// maxUpstreams is the largest number of upstreams: so many have names.
const maxUpstreams = 256

// names are the IDs of the upstreams.
var names = func() (names [maxUpstreams]string) {
	for u := range names {
		names[u] = "upstream-" + strconv.Itoa(u)
	}
	return names
}()

func nameOf(u int) string { return names[u] }

// ours returns what makes a router of a Selector with that extractor and fallback.
// A nil extractor is the default of Selectors.
func ours(extractor extract.Extractor, fallback func(l *library) affinity.Picker[int]) func(*driver) (router, error) {
	return func(d *driver) (router, error) {
		l := newLibrary(d)
		var err error
		l.selector, err = affinity.New(affinity.Config[int]{
			ID: nameOf, Extractor: extractor, Fallback: fallback(l), Failover: d.cond.failover,
		})
		return l, err
	}
}

// newLibrary prepares what requests are made of.
func newLibrary(d *driver) *library {
	l := &library{driver: d}
	l.headers = make([]http.Header, d.trace.Sessions())
	longest := 0
	for i := range d.trace.Requests {
		r := &d.trace.Requests[i]
		longest = max(longest, r.Prompt)
		if l.headers[r.Session] == nil {
			h := http.Header{"X-Session-Id": {sessionID(r.Session)}, "Content-Type": {"application/json"}}
			if r.Parent >= 0 {
				h.Set("X-Parent-Session-Id", sessionID(r.Parent))
			}
			l.headers[r.Session] = h
		}
	}
	l.ends = make([]bool, d.trie.Len())
	for _, seg := range d.trie.Path {
		l.ends[seg] = true
	}
	l.head = make([]bool, d.trie.Len())
	within := make([]bool, d.trie.Len()) // whether a prompt ends on the path
	for seg := 1; seg < d.trie.Len(); seg++ {
		above := within[d.trie.Parent[seg]]
		l.head[seg] = l.ends[seg] && !above
		within[seg] = l.ends[seg] || above
	}
	l.zeros = make([]byte, longest*bytesPerToken)
	return l
}

func sessionID(s int) string { return "session-" + strconv.Itoa(s) }

// sessions keeps sessions at their home and places new ones by the fallback.
func sessions(fallback func(l *library) affinity.Picker[int]) func(*driver) (router, error) {
	return ours(nil, fallback)
}

// stateless has the fallback decide every request.
func stateless(fallback func(l *library) affinity.Picker[int]) func(*driver) (router, error) {
	return ours(extract.Chain{}, fallback)
}

// route implements router.
func (l *library) route(ctx context.Context, i int, now time.Duration, usable []int) (int, func(ended), error) {
	r := &l.driver.trace.Requests[i]
	l.request = &extract.Request{
		Header: l.headers[r.Session],
		Body:   l.zeros[:r.Prompt*bytesPerToken],
		Method: http.MethodPost,
		Path:   "/v1/chat/completions",
	}
	l.current, l.bounded = i, false
	sel, err := l.selector.Select(ctx, l.request, usable)
	if err != nil {
		return 0, nil, err
	}
	return sel.Target, func(e ended) {
		o := affinity.Outcome{Result: affinity.Served, Usage: e.usage}
		if e.failed {
			o = affinity.Outcome{Result: affinity.TransientFailure}
		}
		sel.Done(o)
	}, nil
}

// boundaries stands in for extract.Request.Boundaries: the prompts of a trace
// have no text to find messages in. A prompt may be cut after every grain
// tokens; where the first and the last of the earlier prompts that it goes on
// from ended, the first one in place of the system prompt; and at its own end.
func (l *library) boundaries(req *extract.Request) []extract.Boundary {
	if req != l.request {
		return nil
	}
	if !l.bounded {
		l.bounds, l.bounded = l.cuts(l.bounds[:0]), true
	}
	return l.bounds
}

// cuts appends the boundaries of the current request, in order.
func (l *library) cuts(cuts []extract.Boundary) []extract.Boundary {
	d := l.driver
	block := int32(d.trie.Block)
	step := max(grain/block, 1)
	cut := func(seg, depth int32) {
		node := d.trie.First[seg] + depth - d.trie.Start(seg) - 1
		cuts = append(cuts, extract.Boundary{Hash: rand.NewPCG(uint64(node), 0).Uint64(), Bytes: int(depth*block) * bytesPerToken})
	}
	// From the end up.
	ends := earlierEnds + 1
	for seg := d.trie.Path[l.current]; seg > 0; seg = d.trie.Parent[seg] {
		depth := d.trie.End[seg]
		if l.ends[seg] && (ends > 0 || l.head[seg]) {
			ends--
			cut(seg, depth)
			depth--
		}
		for depth -= depth % step; depth > d.trie.Start(seg); depth -= step {
			cut(seg, depth)
		}
	}
	slices.Reverse(cuts)
	return cuts
}

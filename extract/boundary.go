package extract

import (
	"slices"

	"github.com/cespare/xxhash/v2"
)

// A Boundary is a place at which the prompt of a request may be cut, so that
// another request shares all that is before it.
type Boundary struct {
	// Hash is over all that is before. It is not keyed: anybody can make two prompts
	// with the same Hash on purpose, so let it decide nothing but where a request goes.
	Hash uint64

	// Bytes is the size of what is before, as JSON.
	Bytes int
}

// Which boundaries there are.
const (
	minBoundary   = 4 << 10 // bytes from one boundary to the next
	lastMessages  = 16      // after which there is a boundary in any case
	maxBoundaries = 1024
)

// Boundaries returns where the prompt may be cut: after the tools and the
// system prompt that are beside the messages, after each of the last 16
// messages, and after each other message that ends 4 kB or more after the boundary
// before it. There are at most 1,024, in order.
//
// Two requests whose prompts begin alike have the same boundaries up to where they part,
// except for those that are there only because a message is among the last 16. A turn of
// a conversation has the end of the turn before among its boundaries, unless 16 or more
// messages have come since.
//
// The prompt is all that an upstream computes and keeps for the next request:
// what it has cached or keeps as a template, tools, system prompt, roles, texts, tool
// calls and their results. Of these
//
//   - the markers of caches (cache_control, cachePoint, prompt_cache_breakpoint), ids and
//     states of the items of the Responses API and the billing line of Claude Code do not
//     count;
//   - a content that is one plain text block counts as that text;
//   - everything else counts as it is written, white space and escapes included,
//     since clients write what they repeat as they wrote it before. So does
//     everything behind the first 65,536 members and blocks, plus one for every 32 bytes
//     up to there. Hardly any conversation has as many.
//
// Neither the model nor [Request.Scope] is in the hash.
//
// The result is nil for a body that has no messages, more than 65,536 of them, or only
// those that go on from state on the server; and for a legacy prompt. The slice is worked
// out once per request, in time linear in the body, and shared: do not change it.
func (r *Request) Boundaries() []Boundary {
	if len(r.Body) == 0 {
		return nil
	}
	if b := r.cuts.Load(); b != nil {
		return *b
	}
	b := r.boundaries()
	r.cuts.CompareAndSwap(nil, &b)
	return *r.cuts.Load()
}

// boundaries is Boundaries, worked out anew.
func (r *Request) boundaries() []Boundary {
	p, inPassing := r.promptInPassing() // first, since it does something only if nobody has read the body yet
	if !r.read() || r.delta() {
		return nil
	}
	if !inPassing {
		s := newStrip(newPrompt(), r.messages())
		if p != nil {
			s.to.inVain, s.to.looks = p.messages, p.looks
		}
		s.messages()
		p = s.to
	}
	if p.messages == 0 || p.tooMany() {
		return nil
	}
	return p.boundariesAfter(r.front())
}

// front reads what comes before the messages into a prompt of its own: what the upstream keeps
// of it, the tools and the system prompt. Upstreams put these first, wherever they are in the
// body.
func (r *Request) front() *prompt {
	p := newPrompt()
	part := func(kind byte, raw []byte) {
		s := newStrip(p, raw)
		s.begin(kind, 0)
		if kind == 's' {
			s.first = true
			s.content()
		} else {
			s.value()
		}
		s.end()
	}
	r.eachKept(func(raw []byte) { part('k', raw) })
	for _, f := range toolFields {
		if raw := r.get(f); raw != nil {
			part('t', raw)
		}
	}
	for _, f := range systemFields {
		if raw := r.get(f); raw != nil {
			part('s', raw)
		}
	}
	return p
}

// A prompt collects what has been read so far: of the messages, or of what comes before them.
// The two are collected separately, since a walk may come to the messages first, and joined by
// boundariesAfter.
type prompt struct {
	digest   xxhash.Digest
	bytes    int
	messages int
	inVain   int // messages that were read in passing in vain: they count as well
	looks    int // at members and blocks, as strip.more counts them, those in vain included

	// Boundaries after messages: those that are far enough apart, which later requests have as
	// well, and those after the last messages, a ring.
	boundaries []Boundary
	recent     [lastMessages]Boundary
}

func newPrompt() *prompt {
	var p prompt
	p.digest.Reset()
	return &p
}

// tooMany reports whether there are more messages than are read.
func (p *prompt) tooMany() bool { return p.messages+p.inVain > maxMessages }

// endMessage notes that a message ends here, so that the prompt may be cut.
func (p *prompt) endMessage() {
	b := Boundary{p.digest.Sum64(), p.bytes}
	p.recent[p.messages%lastMessages] = b
	p.messages++
	last := 0
	if n := len(p.boundaries); n > 0 {
		last = p.boundaries[n-1].Bytes
	}
	if p.bytes-last >= minBoundary && len(p.boundaries) < maxBoundaries-lastMessages { // more are never asked for
		p.boundaries = append(p.boundaries, b)
	}
}

// boundariesAfter returns the boundaries of a request that has these messages after front.
func (p *prompt) boundariesAfter(front *prompt) []Boundary {
	start := Boundary{front.digest.Sum64(), front.bytes}
	all := make([]Boundary, 0, 1+len(p.boundaries)+lastMessages)
	if start.Bytes > 0 {
		all = append(all, start)
	}
	add := func(b Boundary) {
		h := sum{start.Hash}.add(endSalt, b.Hash)[0]
		all = append(all, Boundary{h, start.Bytes + b.Bytes})
	}
	for _, b := range p.boundaries[:min(len(p.boundaries), maxBoundaries-lastMessages-len(all))] {
		add(b)
	}
	for i := max(p.messages-lastMessages, 0); i < p.messages; i++ {
		add(p.recent[i%lastMessages])
	}
	// Some of the last messages may be among those that are far enough apart.
	slices.SortStableFunc(all, func(a, b Boundary) int { return a.Bytes - b.Bytes })
	all = slices.CompactFunc(all, func(a, b Boundary) bool { return a.Bytes == b.Bytes })
	return slices.Clip(all) // the slice is shared, so appending to it must copy it
}

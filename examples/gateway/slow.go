package main

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-affinity/affinity/extract"
)

// A pace is how long an upstream takes to begin its answers: a decaying
// geometric mean, which a few long prompts do not move much.
type pace struct {
	mu  sync.Mutex
	log float64 // its logarithm, in nanoseconds
	n   int     // answers it is made of
}

const (
	paceMemory = 8 // answers that a pace goes back, about
	paceFirm   = 8 // answers that it takes to say anything
)

// observe takes in an answer.
func (p *pace) observe(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	p.log += (math.Log(float64(max(d, time.Microsecond))) - p.log) / float64(min(p.n, paceMemory))
}

// get returns the pace, if it is known.
func (p *pace) get() (time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n < paceFirm {
		return 0, false
	}
	return time.Duration(math.Exp(p.log)), true
}

// set makes d the pace, as if n answers had taken that long; it is forgotten if n is 0.
func (p *pace) set(d time.Duration, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log, p.n = math.Log(float64(max(d, time.Microsecond))), n
}

// The kinds of answers that have a pace of their own.
const (
	streamed = iota // as events
	whole           // when all of it is there
)

// asks returns the kind of answer that the request asks for.
func (x *exchange) asks() int {
	if strings.Contains(x.req.Path, ":stream") {
		return streamed
	}
	const white = " \t\r\n"
	for rest, found := x.req.Body, true; ; {
		if _, rest, found = bytes.Cut(rest, []byte(`"stream"`)); !found {
			return whole
		}
		value := bytes.TrimPrefix(bytes.TrimLeft(rest, white), []byte(":"))
		if bytes.HasPrefix(bytes.TrimLeft(value, white), []byte("true")) {
			return streamed
		}
	}
}

// floors are what is never slow.
var floors = [2]time.Duration{streamed: time.Second, whole: 3 * time.Second}

// allowed returns how long u may take to begin an answer without being slow: factor
// times as long as the median of the others. It is not known if none of these has a pace.
func allowed(upstreams []*upstream, u *upstream, kind int, factor float64) (time.Duration, bool) {
	others := make([]time.Duration, 0, 16)
	for _, o := range upstreams {
		if d, ok := o.paces[kind].get(); ok && o != u {
			others = append(others, d)
		}
	}
	if len(others) == 0 {
		return 0, false
	}
	slices.Sort(others)
	median := others[(len(others)-1)/2]
	return max(floors[kind], time.Duration(factor*float64(median))), true
}

// A speed is how soon an answer has begun.
type speed uint8

const (
	unknown speed = iota // it says nothing of what takes long, such as a count of tokens
	quick
	late
)

// begun takes in that u took d to begin an answer, or has taken that long and
// has not begun. It reports how soon that was, and whether u is slow by now.
func (g *gateway) begun(x *exchange, u *upstream, kind int, d time.Duration) (how speed, slow bool) {
	if call := (extract.Request{Method: x.req.Method, Path: x.req.Path}); call.Class().SideCall() {
		return unknown, false
	}
	p := &u.paces[kind]
	p.observe(d)
	mean, firm := p.get()
	if g.slow <= 0 || d <= floors[kind] && mean <= floors[kind] {
		return quick, false
	}
	limit, ok := allowed(x.upstreams, u, kind, g.slow)
	if how = quick; ok && d > limit {
		how = late
	}
	return how, ok && firm && mean > limit
}

package balance

import (
	"math"
	"sync/atomic"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// estimates tell what to expect of requests of which only the length is known yet:
// decaying means over those that were served.
type estimates struct {
	perByte  mean // tokens of a prompt to a byte of its request
	coldMiss mean // share of a prompt that is uncached, of a session that is new to its target,
	warmMiss mean // and of one that stays
	output   mean // tokens of an answer
}

// init sets what is believed until there was a request.
func (e *estimates) init() {
	e.perByte.set(0.25)
	e.coldMiss.set(0.9)
	e.warmMiss.set(0.1)
	e.output.set(400)
}

// Tokens beyond all reason are not believed.
const (
	maxPrompt = 1 << 20 // of a prompt, by its length in bytes
	maxTokens = 1 << 22 // of a usage, each kind of them
)

// size returns how long a request is, in bytes.
func size(req *extract.Request) int {
	if req == nil {
		return 0
	}
	return len(req.Body)
}

// tokens estimates how many tokens a prompt of so many bytes has. There are no more
// than models read: what is longer than that is not text, and if it were taken for
// text, a request with a film whose client leaves would weigh as much as all
// others of a day.
func (e *estimates) tokens(bytes int) float64 {
	return min(float64(bytes)*e.perByte.get(), maxPrompt)
}

// miss estimates how many of the tokens of a prompt are uncached; warm says that
// its session stays where it is.
func (e *estimates) miss(tokens float64, warm bool) float64 {
	if warm {
		return tokens * e.warmMiss.get()
	}
	return tokens * e.coldMiss.get()
}

// valid reports whether u can be what a request has used.
func valid(u affinity.Usage) bool {
	return u != affinity.Usage{} && min(u.Uncached, u.Cached, u.Output) >= 0 && max(u.Uncached, u.Cached, u.Output) <= maxTokens
}

// observe learns from what a request of so many bytes that was served has used. u
// is valid.
func (e *estimates) observe(bytes int, warm bool, u affinity.Usage) {
	if prompt := float64(u.Uncached + u.Cached); prompt > 0 {
		// A ratio out of this range is not that of text: there are images in the
		// body, or the server has more of the prompt than the body.
		if ratio := prompt / float64(bytes); bytes >= 1024 && ratio > 1.0/16 && ratio <= 1 {
			e.perByte.observe(ratio)
		}
		if warm {
			e.warmMiss.observe(float64(u.Uncached) / prompt)
		} else {
			e.coldMiss.observe(float64(u.Uncached) / prompt)
		}
	}
	e.output.observe(float64(u.Output))
}

// A mean is an exponentially decaying one, for many goroutines at once. Of
// observations at the same time some are lost, which a mean can bear.
type mean struct{ bits atomic.Uint64 }

// meanLength is about how many of the last observations make up a mean.
const meanLength = 50

func (m *mean) get() float64  { return math.Float64frombits(m.bits.Load()) }
func (m *mean) set(x float64) { m.bits.Store(math.Float64bits(x)) }

func (m *mean) observe(x float64) {
	old := m.bits.Load()
	mean := math.Float64frombits(old)
	m.bits.CompareAndSwap(old, math.Float64bits(mean+(x-mean)/meanLength))
}

// A tally is a sum that many goroutines add to at once. None of it is lost.
type tally struct{ bits atomic.Uint64 }

func (t *tally) add(x float64) {
	for {
		old := t.bits.Load()
		if t.bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+x)) {
			return
		}
	}
}

// take returns the sum and begins anew at 0.
func (t *tally) take() float64 { return math.Float64frombits(t.bits.Swap(0)) }

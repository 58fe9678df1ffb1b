// Package lifetime learns how long the prompt cache of an upstream keeps a prompt that is
// not used, from how much of later prompts was cached, as its responses say.
//
// Providers state five minutes, an hour or a day, or say "usually". What they really do
// depends on the account, the model, the markers in the request and the load of their
// machines. So nothing is configured: a conversation that comes back after a pause
// either finds its prompt in the cache or does not.
package lifetime

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Unlimited is the life of prompts in a cache of which nothing is known.
const Unlimited time.Duration = math.MaxInt64

const (
	// minPrompt is the smallest prompt, in tokens, that tells anything. Providers cache
	// prompts from 1,024 tokens on, and one of less than twice that may be mostly new.
	minPrompt = 2048

	// found tells a prompt that was still there from one that was gone: at least this
	// share of what is usually cached without a pause must be cached after one. Less may
	// be cached because other conversations use it, as they do a system prompt.
	found = 0.5

	// enough is how many observations it takes to compare with or to believe in: a
	// conversation that was cut short, say, looks like a prompt that was gone.
	enough = 3

	// caution weighs a prompt that was found against one that was gone. To give up a
	// prompt that is there costs all of it; to follow one that is gone only costs a
	// chance to place the session better.
	caution = 4

	// memory is about how many of the latest observations of each kind count.
	memory = 32
)

// bounds divide pauses into kinds: kind i is from bounds[i] up to bounds[i+1]. What is
// shorter than bounds[0] is not a pause.
var bounds = [...]time.Duration{
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute,
	40 * time.Minute, 80 * time.Minute, 4 * time.Hour, 12 * time.Hour,
}

// An Estimate is what is known of one upstream. The zero Estimate knows nothing. All
// methods are safe for concurrent use.
type Estimate struct {
	life atomic.Int64 // what judge said last; 0 means Unlimited

	mu    sync.Mutex
	fresh float64 // the mean share of a prompt that is cached without a pause
	n     float64 // how many observations fresh is the mean of
	kinds [len(bounds)]kind
}

// A kind counts the prompts that were found and those that were gone after pauses of
// some length. Older ones count for less.
type kind struct{ found, gone float64 }

// Life returns how long the cache keeps a prompt that is not used: Unlimited until
// there is evidence that it does not keep it for ever. It takes no lock.
func (e *Estimate) Life() time.Duration {
	if life := e.life.Load(); life != 0 {
		return time.Duration(life)
	}
	return Unlimited
}

// Observe notes that a conversation came back after a pause, and how many tokens of its
// prompt were in the cache and how many were not. Prompts that are too small to tell
// anything are ignored, and so are impossible numbers.
func (e *Estimate) Observe(pause time.Duration, cached, uncached int) {
	if cached < 0 || uncached < 0 || cached+uncached < minPrompt { // a sum that overflows is negative
		return
	}
	share := float64(cached) / float64(cached+uncached)
	e.mu.Lock()
	defer e.mu.Unlock()
	if pause < bounds[0] {
		e.n = min(e.n+1, memory)
		e.fresh += (share - e.fresh) / e.n
		return
	}
	if e.n < enough {
		return // too little is known of what is cached without a pause
	}
	i := len(bounds) - 1
	for pause < bounds[i] {
		i--
	}
	k := &e.kinds[i]
	if k.found+k.gone >= memory {
		k.found *= 1 - 1.0/memory
		k.gone *= 1 - 1.0/memory
	}
	if share >= found*e.fresh {
		k.found++
	} else {
		k.gone++
	}
	e.life.Store(int64(e.judge()))
}

// judge returns the bound that best divides the pauses after which prompts were found
// from those after which they were gone, or 0 if none divides them: the one with the
// largest gain over all kinds of longer pauses. The kind right after the bound must speak
// for it by itself, not just longer ones: little is heard of those, since sessions are
// not brought back any more after such pauses. Called with e locked.
func (e *Estimate) judge() time.Duration {
	life, best, gain := time.Duration(0), float64(enough), 0.0
	for i := len(bounds) - 1; i >= 0; i-- {
		own := e.kinds[i].gone - caution*e.kinds[i].found
		gain += own
		if own >= enough && gain >= best {
			life, best = bounds[i], gain
		}
	}
	return life
}

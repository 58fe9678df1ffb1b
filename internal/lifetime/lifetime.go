// Package lifetime learns how long the prompt cache of an upstream keeps what
// is not used, from what its responses say was read from there.
//
// Providers state five minutes, an hour or a day, or "usually"; and what they
// do depends on the account, the model, the markers in the request and the
// pressure on their machines. So nothing is configured: a conversation that
// comes back after a pause either finds its prompt in the cache or does not.
package lifetime

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Unlimited is the life of a cache that nothing is known of.
const Unlimited time.Duration = math.MaxInt64

const (
	// minPrompt is the least prompt in tokens that tells anything: providers
	// cache from 1,024 on, and less than twice that may be mostly new.
	minPrompt = 2048

	// found is the share of what is found in the cache without a pause that
	// must be found after one, for the prompt to have outlasted it. Less may be
	// there because others use it: a system prompt.
	found = 0.5

	// enough is how many prompts must have been gone before a shorter life is
	// believed: a conversation that was cut short looks like a cache that was.
	enough = 3

	// caution is how much worse it is to give up a prompt that is there, which
	// costs all of it, than to look for one that is not, which costs a chance
	// to place the session better.
	caution = 4

	// memory is how many of the last observations of a kind count, about.
	memory = 32
)

// bounds divide pauses into kinds. The first kind is no pause at all.
var bounds = [...]time.Duration{
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute,
	40 * time.Minute, 80 * time.Minute, 4 * time.Hour, 12 * time.Hour,
}

// An Estimate is what is known of one upstream. The zero Estimate knows
// nothing. All methods are safe for concurrent use.
type Estimate struct {
	life  atomic.Int64 // 0 means Unlimited
	mu    sync.Mutex
	fresh float64 // mean share of a prompt that is found without a pause
	n     float64 // observations in fresh
	kinds [len(bounds)]kind
}

// A kind counts what became of the prompts after pauses of some length.
type kind struct{ found, gone float64 }

// Life returns for how long the cache keeps what is not used: Unlimited until
// there is evidence.
func (e *Estimate) Life() time.Duration {
	if life := e.life.Load(); life != 0 {
		return time.Duration(life)
	}
	return Unlimited
}

// Observe takes in that a conversation came back after a pause, and how many
// tokens of its prompt were in the cache and how many were not.
func (e *Estimate) Observe(pause time.Duration, cached, uncached int) {
	if cached < 0 || uncached < 0 || cached > math.MaxInt/2 || uncached > math.MaxInt/2 || cached+uncached < minPrompt {
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
		return // nothing to compare with
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

// judge returns the bound that divides best between pauses after which prompts
// were found and such after which they were gone, 0 if there is none. The kind
// right behind it must say so by itself: once pauses of a kind are no longer
// waited for, little is heard of them.
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

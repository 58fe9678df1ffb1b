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

	// enough is how many pauses of a kind must have been seen to go by them.
	enough = 3

	// memory is how many of the last observations of a kind count, about.
	memory = 20

	// found is the share of what is found in the cache without a pause that
	// must be found after one, for it to have outlasted the pause.
	found = 0.5
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
	kinds [len(bounds) + 1]share
}

// share is the mean share of prompts that came from the cache.
type share struct{ mean, n float64 }

// Life returns for how long the cache keeps what is not used: a lower bound of
// the pauses after which it was found empty.
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
	kind := 0
	for kind < len(bounds) && pause >= bounds[kind] {
		kind++
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s := &e.kinds[kind]
	s.n = min(s.n+1, memory)
	s.mean += (float64(cached)/float64(cached+uncached) - s.mean) / s.n
	e.life.Store(int64(e.judge()))
}

// judge returns the shortest pause that the cache does not outlast, 0 if there
// is none. To have found a prompt after a long pause is evidence for all
// shorter ones: those that went missing there went for another reason.
func (e *Estimate) judge() time.Duration {
	fresh := e.kinds[0]
	if fresh.n < enough {
		return 0
	}
	life := time.Duration(0)
	for kind := len(bounds); kind > 0; kind-- {
		s := e.kinds[kind]
		if s.n < enough {
			continue
		}
		if s.mean >= found*fresh.mean {
			break
		}
		life = bounds[kind-1]
	}
	return life
}

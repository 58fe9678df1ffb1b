package registry

import (
	"sync"
	"sync/atomic"
	"time"
)

// Presence follows whether a target is among the candidates of its sessions,
// and lets them come back one by one when it was away.
type Presence struct {
	away atomic.Bool
	last atomic.Int64

	mu     sync.Mutex
	calls  int   // that missed it since it was seen
	from   int64 // when the first of them did
	back   int64 // when it was seen again
	spread int64 // over what time its sessions come back from then on
}

// maxSpread is the longest that the sessions of a target take to come back.
const maxSpread = int64(5 * time.Minute)

// Away reports whether the target was missed, and not seen since.
func (p *Presence) Away() bool { return p.away.Load() }

// Last returns when it was missed last; 0 if never.
func (p *Presence) Last() int64 { return p.last.Load() }

// Missing notes that a session did not find the target among its candidates.
func (p *Presence) Missing(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.away.Swap(true) {
		p.from, p.calls = now, 0
	}
	p.calls++
	p.last.Store(now)
}

// Present notes that a session did. A single call that missed the target says
// something about the call, not about the target.
func (p *Presence) Present(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.away.Swap(false) || p.calls < 2 {
		return
	}
	if spread := min(now-p.from, maxSpread); now+spread > p.back+p.spread {
		p.back, p.spread = now, spread
	}
}

// Awaits reports whether it is the turn of the session at that fraction of all
// to come back.
func (p *Presence) Awaits(now int64, fraction float64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return float64(now-p.back) >= fraction*float64(p.spread)
}

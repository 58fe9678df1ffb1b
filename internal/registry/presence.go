package registry

import (
	"sync"
	"sync/atomic"
	"time"
)

// Presence follows whether a target is among the candidates of the requests of its
// sessions. After an outage, it lets the sessions come back one by one. The zero Presence
// is that of a target that was never missed. All methods are safe for concurrent use; times
// are nanoseconds of the caller's clock, and positive.
type Presence struct {
	away atomic.Bool  // written with mu held
	last atomic.Int64 // see LastMissed; written with mu held

	mu     sync.Mutex
	missed int   // how many requests have missed it since it went away
	from   int64 // when the first of them did
	back   int64 // when the last outage ended
	spread int64 // how long from then on its sessions take to come back
}

// maxSpread bounds the time that the sessions of a target take to come back.
const maxSpread = int64(5 * time.Minute)

// Away reports whether the target was missing from the last request that was noted.
func (p *Presence) Away() bool { return p.away.Load() }

// LastMissed returns when a request last missed the target, or Inherits was called, or 0 if
// neither ever happened. No session that the target is the home of has gone elsewhere since.
func (p *Presence) LastMissed() int64 { return p.last.Load() }

// Inherits notes that the target is the home of sessions from now on that are elsewhere.
func (p *Presence) Inherits(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last.Store(now)
}

// Missing notes that the target was not among the candidates of a request.
func (p *Presence) Missing(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.away.Swap(true) {
		p.from, p.missed = now, 0
	}
	p.missed++
	p.last.Store(now)
}

// Present notes that the target was among the candidates of a request. If it was away,
// its sessions come back from now on, over as long as it was away. If only one request
// missed it, that says something about the request and not about the target, so there is
// nothing to spread. An outage during the return of an earlier one never shortens that.
func (p *Presence) Present(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.away.Swap(false) || p.missed < 2 {
		return
	}
	if spread := min(now-p.from, maxSpread); now+spread > p.back+p.spread {
		p.back, p.spread = now, spread
	}
}

// MayReturn reports whether it is the turn of a session to come back. fraction is the
// session's place among all sessions of the target, from 0 for the first to 1.
func (p *Presence) MayReturn(now int64, fraction float64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return float64(now-p.back) >= fraction*float64(p.spread)
}

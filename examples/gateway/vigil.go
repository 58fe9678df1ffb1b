package main

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A vigil is kept over an attempt until its answer begins. An answer may well
// take minutes, so how long it takes does not tell that the upstream hangs. But
// if the others begin such answers many times sooner, this one is slow, and if
// for as long as that it has begun none at all of several that it was asked for,
// it hangs: the attempt ends, and another upstream is tried. A request that waits
// alone may be one that takes long anywhere, so it is given more time; and so may
// several be, so that second attempts are given all that they take, unless the
// upstream has failed otherwise. While a body is still coming from the client, there
// is nothing to wait for.
type vigil struct {
	ctx    context.Context // of the attempt
	giveUp context.CancelCauseFunc
	g      *gateway
	x      *exchange
	u      *upstream
	start  time.Time
	first  bool // attempt of the request

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

const (
	suspicion = 3 * time.Second // after so long, a vigil looks for the first time,
	silence   = 8 * time.Second // and after that it may give up
	several   = 3               // with so many requests; if there are fewer, after twice as long
)

var errSilent = errors.New("answers nothing any more")

func (g *gateway) watch(ctx context.Context, x *exchange, upload bool) *vigil {
	v := &vigil{g: g, x: x, u: x.choice.Target, start: time.Now(), first: x.attempts == 1}
	v.ctx, v.giveUp = context.WithCancelCause(ctx)
	if upload {
		return v
	}
	v.u.waiting.Add(1)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.timer = time.AfterFunc(suspicion, v.look)
	return v
}

func (v *vigil) end() {
	if v.timer == nil {
		return
	}
	v.timer.Stop()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.over = true
	v.u.waiting.Add(-1)
}

func (v *vigil) look() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		return
	}
	now, kind := time.Now(), v.x.asks()
	waited := now.Sub(v.start)
	if waited < silence {
		// It will take longer than it has so far.
		if _, slow := v.g.begun(v.x, v.u, kind, 2*waited); slow && v.u.health.slows(now) {
			v.g.log.Warn("upstream slow", "target", v.u.name, "waiting", waited.Round(time.Second))
		}
		v.timer.Reset(silence - waited)
		return
	}
	if v.silent(kind, waited) {
		v.giveUp(errSilent)
		return
	}
	v.timer.Reset(time.Second)
}

// silent reports whether the upstream hangs, by all that is known.
func (v *vigil) silent(kind int, waited time.Duration) bool {
	u := v.u
	if v.g.slow <= 0 || u.heard.Load() >= v.start.UnixNano() {
		return false
	}
	factor, least := 2*v.g.slow, silence
	if !u.health.unproven() {
		if !v.first {
			return false
		}
		if u.waiting.Load() < several {
			factor, least = 2*factor, 2*least
		}
	}
	limit, ok := allowed(v.x.upstreams, u, kind, factor)
	return ok && waited > max(limit, least)
}

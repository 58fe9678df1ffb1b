package main

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A watchdog looks after an attempt until its answer begins, unless the body of the request
// comes from the client meanwhile. An answer may take minutes, so time alone does not
// tell that an upstream hangs, but the others do. If they begin such answers many times sooner,
// it is slow; if it has begun none at all for that long, with several requests waiting, it
// hangs: the attempt ends, and another upstream is tried. A request that waits alone gets twice
// the time, as it may be one that takes long anywhere. For the same reason a second attempt
// gets all the time that it takes, unless the upstream has failed otherwise; and so does one
// after which others were answered, unless the upstream has gone silent since.
type watchdog struct {
	ctx    context.Context // of the attempt
	giveUp context.CancelCauseFunc
	g      *gateway
	x      *exchange
	u      *upstream
	start  time.Time

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

const (
	suspicion = 3 * time.Second // after so long, a watchdog looks for the first time,
	silence   = 8 * time.Second // and after that it may give up
	several   = 3               // with so many requests; if there are fewer, after twice as long
)

var errSilent = errors.New("no longer answers")

func (g *gateway) watch(ctx context.Context, x *exchange) *watchdog {
	w := &watchdog{g: g, x: x, u: x.choice.Target, start: time.Now()}
	w.ctx, w.giveUp = context.WithCancelCause(ctx)
	if x.large {
		return w
	}
	w.u.waiting.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(suspicion, w.look)
	return w
}

func (w *watchdog) end() {
	if w.timer == nil {
		return
	}
	w.timer.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	w.u.waiting.Add(-1)
}

func (w *watchdog) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	now, kind := time.Now(), w.x.asks()
	waited := now.Sub(w.start)
	if waited < silence {
		// It will take longer than it has so far.
		if _, slow := w.g.begun(w.x, w.u, kind, 2*waited); slow && w.u.health.slows(now) {
			w.g.log.Warn("upstream slow", "target", w.u.name, "waiting", waited.Round(time.Second))
		}
		w.timer.Reset(silence - waited)
		return
	}
	if w.silent(kind, waited) {
		w.giveUp(errSilent)
		return
	}
	w.timer.Reset(time.Second)
}

// silent reports whether the upstream hangs, by all that is known.
func (w *watchdog) silent(kind int, waited time.Duration) bool {
	u := w.u
	heard := u.heard.Load()
	if w.g.slow <= 0 || heard >= w.g.age(w.start) && heard >= u.mute.Load() {
		return false
	}
	factor, least := 2*w.g.slow, silence
	if !u.health.unproven() {
		if w.x.attempts > 1 {
			return false
		}
		if u.waiting.Load() < several {
			factor, least = 2*factor, 2*least
		}
	}
	limit, ok := allowed(w.x.upstreams, u, kind, factor)
	return ok && waited > max(limit, least)
}

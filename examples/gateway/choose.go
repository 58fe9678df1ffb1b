package main

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// choose selects an upstream for the next attempt among those that are fit for
// it. If none is, it takes those that are merely suspected, and if all have
// asked to be left alone or have just been tried, it waits for the first of them
// as far as the patience goes; and so for the one that holds state which the
// request refers to, since the others can only refuse it.
func (g *gateway) choose(ctx context.Context, x *exchange) error {
	for {
		now := time.Now()
		candidates, slots, wait := x.candidates(now)
		if len(candidates) > 0 {
			wait = x.stateIn(now, candidates)
		}
		// Not all at once, when the time has come.
		wait += time.Duration(rand.Int64N(1 + int64(wait/10)))
		switch {
		case len(candidates) > 0 && (wait == 0 || wait > x.patience):
			return g.selects(ctx, x, candidates, slots)
		case wait > x.patience:
			return errNoUpstream
		}
		for _, u := range slots {
			u.health.release()
		}
		if len(x.tried) > len(x.denied) {
			if x.rounds++; x.blamed && x.rounds > 1 {
				return errNoUpstream // what fails everywhere, twice, may be the request's fault
			}
			x.tried = append(x.tried[:0], x.denied...)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
		x.patience -= wait
	}
}

// selects asks the selector.
func (g *gateway) selects(ctx context.Context, x *exchange, candidates, slots []*upstream) error {
	choice, err := x.sel.Select(ctx, x.req, candidates)
	for _, u := range slots {
		if u == choice.Target { // there is none if there is an error
			x.slot = true
		} else {
			u.health.release()
		}
	}
	if err != nil {
		return err
	}
	x.choice = &choice // another one for each attempt: what is left of the last may still be read
	x.attempts++
	g.counters.selected(choice.Decision)
	return nil
}

// How long a request waits at least before it tries an upstream again: the first
// time, and twice as long each time after that, up to longAgain.
const (
	again     = 250 * time.Millisecond
	longAgain = 2 * time.Second
)

// candidates returns the upstreams that are fit for another attempt, and if
// there are none, the least unfit. If there is nobody to ask it returns how long
// to wait for one. Of the candidates, those in slots are to be released if they
// are not chosen.
func (x *exchange) candidates(now time.Time) (candidates, slots []*upstream, wait time.Duration) {
	if len(x.tried) == 0 && !slices.ContainsFunc(x.upstreams, func(u *upstream) bool { return !u.health.well(now) }) {
		return x.upstreams, nil, 0 // to find out what they count it against takes time
	}
	wait = math.MaxInt64 / 2 // choose adds to it
	best := refusing
	for _, u := range x.upstreams {
		if slices.Contains(x.denied, u) {
			continue // who does not let it in now will not in a second
		}
		tried := slices.Contains(x.tried, u)
		// An upload takes up no slot: its client may be at it all day, and keep all others out.
		standing, slot, until := u.health.admit(now, x.limitAt(u), !tried && !x.large)
		if slot {
			slots = append(slots, u)
		}
		if tried && standing != refusing {
			standing, until = refusing, now.Add(min(again<<min(x.rounds, 8), longAgain))
		}
		switch {
		case standing == refusing:
			wait = min(wait, until.Sub(now))
		case standing < best:
			best, candidates = standing, append(candidates[:0], u)
		case standing == best:
			candidates = append(candidates, u)
		}
	}
	return candidates, slots, wait
}

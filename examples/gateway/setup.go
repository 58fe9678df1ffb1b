package main

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// setup is what a configuration makes. A request has the same one to its end.
type setup struct {
	upstreams []*upstream
	sel       *affinity.Selector[*upstream]
}

// use makes a new setup over the bindings in cache. Upstreams that are in the
// present one as well stay what they are, with all that is known of them.
func (g *gateway) use(upstreams []*upstream, cache *affinity.Cache) error {
	s := &setup{upstreams: slices.Clone(upstreams)}
	if old := g.setup.Load(); old != nil {
		for i, u := range upstreams {
			if o := old.find(u.name); o != nil && o.key == u.key && o.url.String() == u.url.String() {
				s.upstreams[i] = o
			}
		}
	}
	var err error
	s.sel, err = affinity.New(affinity.Config[*upstream]{
		ID:        nameOf,
		Fallback:  g.fallback,
		Extractor: g.extractor,
		Tenant:    extract.Credential,
		Failover:  g.failover,
		Cache:     cache,
	})
	if err != nil {
		return err
	}
	// The old selector ends with the requests that have it. It is not closed:
	// what they have yet to tell acts on the same bindings.
	g.setup.Store(s)
	return nil
}

// find returns the upstream of that name, or nil.
func (s *setup) find(name string) *upstream {
	for _, u := range s.upstreams {
		if u.name == name {
			return u
		}
	}
	return nil
}

// comeBack tells that u serves again. If all others are out, what was the matter
// with them all may be over: they are tried too, or u would get everything.
func (s *setup) comeBack(u *upstream, now time.Time) {
	for _, o := range s.upstreams {
		if word, _ := o.health.state(now); o != u && word != "out" {
			return
		}
	}
	for _, o := range s.upstreams {
		o.health.tryNow(now)
	}
}

// reload reads the file with the upstreams again, and those with their keys. No session
// loses its home, unless that is gone.
func (g *gateway) reload() error {
	if g.file == "" && !slices.ContainsFunc(g.fixed, func(s string) bool { return strings.Contains(s, ",key-file=") }) {
		return errors.New("there is no file to read: start with -upstreams FILE, or give an upstream a key-file")
	}
	g.reloading.Lock() // two at once would both go on from the same set-up
	defer g.reloading.Unlock()
	upstreams, err := readUpstreams(g.file, g.fixed)
	if err != nil {
		return err
	}
	if err := g.use(upstreams, g.setup.Load().sel.Cache()); err != nil {
		return err
	}
	g.counters.keep(upstreams)
	g.log.Info("reloaded", "upstreams", len(upstreams))
	return nil
}

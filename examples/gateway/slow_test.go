package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The first answer may have been counted and not been taken in yet when the second is. What
// there was before is no answer, nor is what was forgotten.
func TestPaceOfAnswersThatBeginTogether(t *testing.T) {
	for name, before := range map[string]func(p *pace){
		"at first":     func(*pace) {},
		"what was set": func(p *pace) { p.set(time.Hour); p.forget() },
	} {
		var p pace
		before(&p)
		p.n.Add(1) // the first
		for range paceFirm - 1 {
			p.observe(time.Second)
		}
		d, ok := p.get()
		require.True(t, ok, name)
		require.InDelta(t, float64(time.Second), float64(d), float64(time.Millisecond), name)
	}
}

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
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

func TestAsks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path, body string
		want       int
	}{
		{"/v1/messages", "", whole},
		{"/v1/messages", `{"stream":true}`, streamed},
		{"/v1/messages", "{\"stream\" :\n\ttrue}", streamed},
		{"/v1/messages", `{"stream":false}`, whole},
		{"/v1/messages", `{"words":["stream",true]}`, whole},
		{"/v1/messages", `{"word":"stream","stream":true}`, streamed},
		{"/v1beta/models/m:generateContent", "{}", whole},
		{"/v1beta/models/m:streamGenerateContent", "{}", streamed},
	} {
		x := exchange{req: &extract.Request{Path: tt.path, Body: []byte(tt.body)}}
		require.Equal(t, tt.want, x.asks(), tt.path+" "+tt.body)
	}
}

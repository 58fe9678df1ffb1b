package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/go-affinity/affinity/bench/internal/plain"
	"github.com/go-affinity/affinity/bench/speed/internal/bodies"
	"github.com/go-affinity/affinity/bench/speed/internal/lap"
	"github.com/go-affinity/affinity/bench/speed/internal/peers"
	"github.com/go-affinity/affinity/bench/speed/internal/result"
	"github.com/go-affinity/affinity/extract"
)

const (
	rowDefault = "affinity, all of Default"
	rowHeaders = "affinity, all of Default, beside 14 headers"
	rowGjson   = "gjson.GetBytes"
	rowSonic   = "sonic.Get"
	rowChecked = "gjson.ValidBytes, GetBytes"

	agent    = "agent" // in names of races
	idMember = "conversation_id"
)

// bodyID measures how an id is found that is a member of the body.
func bodyID(s *setting) (result.Group, error) {
	g := result.Group{
		Title: "the id in a body",
		Notes: []string{
			"affinity asks for all the ids that clients are known to put into bodies (extract.BodyIDs, and the chain of extract.Default), minds duplicates and takes none from a body that is not well-formed.",
			"The headers of a client, none of which names the session, are looked at first; the other rows have none.",
			"gjson and sonic look for the one member and stop where they find it, well-formed or not. plain is two paths of gjson, one after the other; the first is not there.",
			"GB/s is the size of the whole body by the time, however much of it is read.",
		},
	}
	const large = 2 << 20
	// held measures those who read a body, and holds each of our two rows to a target: a
	// member in the middle to so many times gjson's speed, one at an end of a large body
	// to a microsecond.
	held := func(name string, size int, place bodies.Place, body []byte, times float64) {
		race := s.track.Race(fmt.Sprintf("%s, %s, %s", name, bytesOf(size), place), readers(body)...)
		g.Races = append(g.Races, race)
		for _, row := range []string{rowOurs, rowDefault} {
			which := race.Name + strings.TrimPrefix(row, rowOurs)
			switch {
			case place == bodies.Middle:
				g.AtLeast("gjson's time over ours, "+which, result.Ratio(race.Row(rowGjson), race.Row(row)), times, "x", "")
			case size == large:
				g.AtMost("id at an end, "+which, race.Row(row).Spread(), 1000, "ns", "")
			}
			if size == large && name == agent {
				g.AtMost("allocations of a body id (1 is the id), "+which, objects(race.Row(row)), 1, "objects", "")
			}
		}
	}
	for _, size := range []int{2 << 10, 32 << 10, 256 << 10, large} {
		for _, place := range []bodies.Place{bodies.Head, bodies.Middle, bodies.Tail} {
			held(agent, size, place, bodies.Agent(size, 1, place, bodies.Member), 2)
		}
	}
	for _, style := range bodies.Styles {
		for _, place := range []bodies.Place{bodies.Middle, bodies.Tail} {
			held(style.Name, large, place, style.Body(large, place), 1)
		}
	}
	return g, nil
}

// readers are those who find the id bodies.ID in a body.
func readers(body []byte) []lap.Contender {
	each := func(name string, read func() (id string, ok bool)) lap.Contender {
		return lap.Contender{Name: name, Size: len(body), Do: func(n int) {
			for range n {
				if id, ok := read(); !ok || id != bodies.ID {
					panic(name + ": wrong id: " + id)
				}
			}
		}}
	}
	ours := func(name string, e extract.Extractor, h http.Header) lap.Contender {
		req := new(extract.Request)
		return each(name, func() (string, bool) {
			*req = extract.Request{Header: h, Body: body}
			sess, ok := e.Extract(req)
			return sess.ID, ok
		})
	}
	sonic := each(rowSonic, func() (string, bool) { return withSonic(body) })
	sonic.Missing = sonicFails(body)
	return []lap.Contender{
		ours(rowOurs, extract.BodyIDs(), nil),
		ours(rowDefault, extract.Default(), nil),
		ours(rowHeaders, extract.Default(), headersOf("X-Request-Id", peers.Key(0))),
		each(rowGjson, func() (string, bool) {
			r := gjson.GetBytes(body, idMember)
			return r.Str, r.Type == gjson.String
		}),
		each(rowChecked, func() (string, bool) {
			ok := gjson.ValidBytes(body)
			return gjson.GetBytes(body, idMember).Str, ok
		}),
		sonic,
		each(rowPlain, func() (string, bool) { return strings.CutPrefix(plain.Session(nil, body), idMember+":") }),
	}
}

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
)

// bodyID measures how an id is found that is a member of the body.
func bodyID(s *session) (result.Group, error) {
	g := result.Group{
		Title: "the id in a body",
		Notes: []string{
			"affinity asks for all the ids that clients are known to put into bodies (extract.BodyIDs, and the chain of extract.Default), minds duplicates and takes none from a body that is not well-formed;",
			"The headers of a client, none of which names the session, are looked at first; the other rows have none.",
			"gjson and sonic look for the one member and stop where they find it, well-formed or not. plain is five paths of gjson, one after the other.",
			"GB/s is the size of the whole body by the time, however much of it is read.",
		},
	}
	// beside holds each of our two rows to at least limit times gjson's speed.
	beside := func(race result.Race, limit float64) {
		for _, row := range []string{rowOurs, rowDefault} {
			g.Verdicts = append(g.Verdicts, result.Verdict{
				Target: "gjson's time over ours, " + race.Name + strings.TrimPrefix(row, rowOurs), Value: result.Ratio(race.Row(rowGjson), race.Row(row)), Unit: "x", Limit: limit,
			})
		}
	}
	for _, size := range []int{2 << 10, 32 << 10, 256 << 10, 2 << 20} {
		for _, place := range []bodies.Place{bodies.Head, bodies.Middle, bodies.Tail} {
			race := s.track.Race(fmt.Sprintf("agent, %s, %s", bytesOf(size), place), readers(bodies.Valid(bodies.AgentWith(size, place)))...)
			g.Races = append(g.Races, race)
			switch {
			case place == bodies.Middle:
				beside(race, 2)
			case size == 2<<20:
				for _, row := range []string{rowOurs, rowDefault} {
					g.Verdicts = append(g.Verdicts, result.Verdict{
						Target: "id at the " + string(place) + " of 2 MB" + strings.TrimPrefix(row, rowOurs), Value: race.Row(row).Spread(), Unit: "ns", Limit: 1000, AtMost: true,
					})
				}
			}
		}
	}
	size := pick(s, 2<<20, 256<<10)
	for _, style := range bodies.Styles {
		for _, place := range []bodies.Place{bodies.Middle, bodies.Tail} {
			race := s.track.Race(fmt.Sprintf("%s, %s, %s", style.Name, bytesOf(size), place), readers(bodies.Valid(style.Body(size, place)))...)
			g.Races = append(g.Races, race)
			beside(race, 1)
		}
	}
	for _, race := range g.Races {
		if strings.HasPrefix(race.Name, "agent, "+bytesOf(2<<20)) {
			for _, row := range []string{rowOurs, rowDefault} {
				g.Verdicts = append(g.Verdicts, allocVerdict("allocations of a body id (1 is the id), "+race.Name+strings.TrimPrefix(row, rowOurs), race.Row(row), 1))
			}
		}
	}
	return g, nil
}

// readers are those who find the id bodies.ID in a body.
func readers(body []byte) []lap.Contender {
	ours := func(name string, e extract.Extractor, h http.Header) lap.Contender {
		req := new(extract.Request)
		return lap.Contender{Name: name, Size: len(body), Do: func(n int) {
			for range n {
				*req = extract.Request{Header: h, Body: body}
				sess, ok := e.Extract(req)
				check(ok, sess.ID)
			}
		}}
	}
	return []lap.Contender{
		ours(rowOurs, extract.BodyIDs(), nil),
		ours(rowDefault, extract.Default(), nil),
		ours(rowHeaders, extract.Default(), headersOf("X-Request-Id", peers.Key(0))),
		{Name: rowGjson, Size: len(body), Do: func(n int) {
			for range n {
				r := gjson.GetBytes(body, "conversation_id")
				check(r.Type == gjson.String, r.Str)
			}
		}},
		{Name: rowChecked, Size: len(body), Do: func(n int) {
			for range n {
				ok := gjson.ValidBytes(body)
				r := gjson.GetBytes(body, "conversation_id")
				check(ok, r.Str)
			}
		}},
		withSonic(body),
		{Name: rowPlain, Size: len(body), Do: func(n int) {
			for range n {
				id := plain.Session(nil, body)
				id, ok := strings.CutPrefix(id, "conversation_id:")
				check(ok, id)
			}
		}},
	}
}

// check panics unless the id is that of all bodies.
func check(found bool, id string) {
	if !found || id != bodies.ID {
		panic("wrong id: " + id)
	}
}

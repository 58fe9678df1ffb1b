// Package corpus holds requests of real clients, with labels that say which
// conversation each belongs to. See README.md.
package corpus

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// A Request is one request as a client sent it.
type Request struct {
	Client  string          `json:"client"`
	Session string          `json:"session"` // the truth
	Seq     int             `json:"seq"`     // from 1, within the session
	Method  string          `json:"method"`
	Path    string          `json:"path"` // with the query
	Header  http.Header     `json:"header"`
	Body    json.RawMessage `json:"body"`
}

//go:embed clients.jsonl.gz
var clients []byte

// Clients returns the requests in clients.jsonl.gz, in order.
func Clients() []Request {
	requests, err := Read(bytes.NewReader(clients))
	if err != nil {
		panic(err) // it is part of the program
	}
	return requests
}

// Read reads requests, one JSON object per line, compressed by gzip or not.
func Read(r io.Reader) ([]Request, error) {
	b := bufio.NewReader(r)
	if magic, _ := b.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("corpus: %w", err)
		}
		b = bufio.NewReader(z)
	}
	var requests []Request
	for d := json.NewDecoder(b); ; {
		var req Request
		switch err := d.Decode(&req); {
		case errors.Is(err, io.EOF):
			return requests, nil
		case err != nil:
			return nil, fmt.Errorf("corpus: request %d: %w", len(requests)+1, err)
		}
		if string(req.Body) == "null" {
			req.Body = nil
		}
		requests = append(requests, req)
	}
}

// Interleave returns the requests as if all sessions ran at once: the first of
// each, then the second of each, and so on.
func Interleave(requests []Request) []Request {
	out := make([]Request, 0, len(requests))
	for round := 0; len(out) < len(requests); round++ {
		seen := map[string]int{}
		for _, req := range requests {
			name := req.Client + "\x00" + req.Session
			if seen[name] == round {
				out = append(out, req)
			}
			seen[name]++
		}
	}
	return out
}

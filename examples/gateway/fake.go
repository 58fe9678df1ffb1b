package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"github.com/go-affinity/affinity"
)

// fake is an upstream with a prompt cache of its own: it remembers every prefix
// of the prompts that it was sent, as providers do per account.
type fake struct {
	mu       sync.Mutex
	prefixes map[[sha256.Size]byte]bool
	requests int
}

// ServeHTTP implements http.Handler. The answer is no more than what the prompt took.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var prompt map[string]any
	json.NewDecoder(r.Body).Decode(&prompt) // what is no JSON has none
	u := f.read(prompt)
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"usage":{"input_tokens":%d,"cache_read_input_tokens":%d}}`, u.Uncached, u.Cached)
}

// read looks a prompt up in the cache and puts it in.
func (f *fake) read(prompt map[string]any) (u affinity.Usage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if f.prefixes == nil {
		f.prefixes = make(map[[sha256.Size]byte]bool)
	}
	var prefix [sha256.Size]byte
	for _, piece := range pieces(prompt) {
		prefix = sha256.Sum256(append(prefix[:], piece...))
		if tokens := (len(piece) + 3) / 4; f.prefixes[prefix] { // and so all before it
			u.Cached += tokens
		} else {
			u.Uncached += tokens
		}
		f.prefixes[prefix] = true
	}
	return u
}

// pieces cuts a prompt where a provider's cache does: between tools, blocks of
// the system prompt, and messages.
func pieces(prompt map[string]any) [][]byte {
	var out [][]byte
	add := func(v any) {
		if b, err := json.Marshal(plain(v)); err == nil {
			out = append(out, b)
		}
	}
	for _, name := range []string{"tools", "system", "systemInstruction", "instructions", "messages", "contents", "input"} {
		switch v := prompt[name].(type) {
		case nil:
		case []any:
			for _, e := range v {
				add(e)
			}
		default:
			add(v)
		}
	}
	return out
}

// plain takes out what does not change a prompt: where its caching is asked
// for, and whether a single text is wrapped in a block.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for name, e := range v {
			if name != "cache_control" {
				m[name] = plain(e)
			}
		}
		return m
	case []any:
		if len(v) == 1 {
			if block, ok := v[0].(map[string]any); ok && block["type"] == "text" {
				return block["text"]
			}
		}
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = plain(e)
		}
		return list
	}
	return v
}

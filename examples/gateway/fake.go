package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// fake is an upstream with a prompt cache of its own: it remembers every prefix
// of the prompts that it was sent, as providers do per account.
type fake struct {
	mu       sync.Mutex
	prefixes map[[sha256.Size]byte]bool
	requests int
}

// usage is what a prompt took, in tokens.
type usage struct{ input, cached int }

// Headers in which a fake upstream repeats the usage, for those who do not
// speak the wire format.
const (
	inputHeader  = "Fake-Input-Tokens"
	cachedHeader = "Fake-Cached-Tokens"
)

// ServeHTTP implements http.Handler.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var prompt map[string]any
	if json.Unmarshal(body, &prompt) != nil {
		http.Error(w, "want a JSON object", http.StatusBadRequest)
		return
	}
	u, n := f.read(prompt)
	w.Header().Set(inputHeader, strconv.Itoa(u.input))
	w.Header().Set(cachedHeader, strconv.Itoa(u.cached))
	answer(w, r.URL.Path, prompt["stream"] == true, fmt.Sprintf("%p-%d", f, n), u)
}

// read looks a prompt up in the cache and puts it in. It also returns the
// number of the request.
func (f *fake) read(prompt map[string]any) (usage, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if f.prefixes == nil {
		f.prefixes = make(map[[sha256.Size]byte]bool)
	}
	var u usage
	var prefix [sha256.Size]byte
	for _, piece := range pieces(prompt) {
		prefix = sha256.Sum256(append(prefix[:], piece...))
		tokens := (len(piece) + 3) / 4
		u.input += tokens
		if f.prefixes[prefix] { // and so all before it
			u.cached += tokens
		}
		f.prefixes[prefix] = true
	}
	return u, f.requests
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

// object is a JSON object.
type object = map[string]any

// event is one of a stream of server-sent events.
type event struct {
	name string // "" if the format names none
	data object
}

// text is all that a fake upstream has to say.
const text = "Done."

// answer writes the answer of a fake upstream in the wire format of the path.
func answer(w http.ResponseWriter, path string, stream bool, id string, u usage) {
	var whole object
	var events []event
	end := ""
	switch {
	case strings.HasSuffix(path, "/messages"):
		whole, events = anthropic(id, u)
	case strings.HasSuffix(path, "/responses"):
		whole, events = responses(id, u)
	case strings.Contains(path, ":"):
		whole, events = gemini(id, u)
		stream = strings.HasSuffix(path, ":streamGenerateContent")
	default:
		whole, events = chat(id, u)
		end = "data: [DONE]\n\n"
	}
	if !stream {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(whole)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for _, e := range events {
		if e.name != "" {
			e.data["type"] = e.name
			io.WriteString(w, "event: "+e.name+"\n")
		}
		data, err := json.Marshal(e.data)
		if err != nil {
			panic(err) // it is all ours
		}
		io.WriteString(w, "data: "+string(data)+"\n\n")
		http.NewResponseController(w).Flush()
	}
	io.WriteString(w, end)
}

// anthropic answers in the format of the Messages API.
func anthropic(id string, u usage) (object, []event) {
	use := object{"input_tokens": u.input - u.cached, "cache_read_input_tokens": u.cached, "output_tokens": 1}
	message := func(content ...object) object {
		return object{"id": "msg_" + id, "type": "message", "role": "assistant", "model": "fake", "content": content, "usage": use}
	}
	whole := message(object{"type": "text", "text": text})
	whole["stop_reason"] = "end_turn"
	return whole, []event{
		{"message_start", object{"message": message([]object{}...)}},
		{"content_block_start", object{"index": 0, "content_block": object{"type": "text", "text": ""}}},
		{"content_block_delta", object{"index": 0, "delta": object{"type": "text_delta", "text": text}}},
		{"content_block_stop", object{"index": 0}},
		{"message_delta", object{"delta": object{"stop_reason": "end_turn"}, "usage": use}},
		{"message_stop", object{}},
	}
}

// chat answers in the format of Chat Completions.
func chat(id string, u usage) (object, []event) {
	use := object{
		"prompt_tokens": u.input, "completion_tokens": 1, "total_tokens": u.input + 1,
		"prompt_tokens_details": object{"cached_tokens": u.cached},
	}
	piece := func(kind string, choices ...object) object {
		return object{"id": "chatcmpl-" + id, "object": kind, "model": "fake", "choices": choices}
	}
	whole := piece("chat.completion", object{"index": 0, "finish_reason": "stop", "message": object{"role": "assistant", "content": text}})
	whole["usage"] = use
	last := piece("chat.completion.chunk", []object{}...)
	last["usage"] = use
	return whole, []event{
		{"", piece("chat.completion.chunk", object{"index": 0, "delta": object{"role": "assistant", "content": text}})},
		{"", piece("chat.completion.chunk", object{"index": 0, "delta": object{}, "finish_reason": "stop"})},
		{"", last},
	}
}

// responses answers in the format of the Responses API.
func responses(id string, u usage) (object, []event) {
	response := func(status string, output ...object) object {
		return object{"id": "resp_" + id, "object": "response", "status": status, "model": "fake", "output": output}
	}
	whole := response("completed", object{
		"type": "message", "id": "msg_" + id, "role": "assistant", "status": "completed",
		"content": []object{{"type": "output_text", "text": text}},
	})
	whole["usage"] = object{
		"input_tokens": u.input, "output_tokens": 1, "total_tokens": u.input + 1,
		"input_tokens_details": object{"cached_tokens": u.cached},
	}
	return whole, []event{
		{"response.created", object{"response": response("in_progress", []object{}...)}},
		{"response.output_text.delta", object{"item_id": "msg_" + id, "output_index": 0, "content_index": 0, "delta": text}},
		{"response.completed", object{"response": whole}},
	}
}

// gemini answers in the format of generateContent.
func gemini(id string, u usage) (object, []event) {
	whole := object{
		"responseId":    id,
		"modelVersion":  "fake",
		"candidates":    []object{{"index": 0, "finishReason": "STOP", "content": object{"role": "model", "parts": []object{{"text": text}}}}},
		"usageMetadata": object{"promptTokenCount": u.input, "cachedContentTokenCount": u.cached, "candidatesTokenCount": 1},
	}
	return whole, []event{{"", whole}}
}

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

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

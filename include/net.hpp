/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/**
 * @file net.hpp
 * libnet in C++17: owners for what net.h lends, and views for what it gives. Everything that net.h says holds here too.
 *
 * - Owners (bus, producer, claim, subscription, page) are moved and never copied. One that was moved from, or made by its
 *   default constructor, is empty: its functions answer NET_ERR_NULL_POINTER (of a claim NET_ERR_INVALID_ARGUMENT), and its
 *   destructor does nothing.
 * - Two forms. What is called try_… returns the code, or the count, of net.h, and is noexcept where it fills neither a string
 *   nor a batch. Its namesake throws net::error instead. Compiled with -fno-exceptions, what would throw calls std::abort, and
 *   the try_… forms are as they are.
 * - Destructors give back, and swallow the outcome. That of a bus waits until everything accepted is stored, for up to
 *   `shutdown_timeout_ms`; bus::shutdown_within says how many events were not. Those of a bus, a producer, a subscription and a
 *   page may run on any thread and in any order; that of a claim on the thread that made it.
 * - Threads. The const functions of a bus may be called from any thread at any time, also while another one shuts it down. Moving
 *   an owner, assigning to it and destroying it is for one thread alone, as with any object.
 * - Views (event, events, a page's cursor) end with what they are of: its page, or the next call of subscription::next.
 * - Text. What has a length is a std::string_view: events, keys. What net.h wants NUL-terminated is a const char*:
 *   configurations, requests, cursors.
 * - Allocation. Only error, batch, and the functions that return a std::string allocate anything on this side.
 */
#ifndef NET_HPP
#define NET_HPP

#include "net.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace net {

/** What failed: the code, and the detail of net_last_error as what(). */
class error : public std::runtime_error {
public:
    explicit error(int code) : std::runtime_error(text_of(code)), code_(code) {}

    /** One of net_error_t. */
    [[nodiscard]] int code() const noexcept { return code_; }

private:
    static const char *text_of(int code) noexcept {
        const char *detail = net_last_error();
        return *detail != '\0' ? detail : net_strerror(code);
    }

    int code_;
};

/** For subscription::next: without an end. */
inline constexpr std::chrono::milliseconds forever{-1};

namespace detail {

/** What is no error; throws what is one. */
inline int checked(int code) {
    if (code < 0) {
#ifdef __cpp_exceptions
        throw error(code);
#else
        std::abort();
#endif
    }
    return code;
}

/** An empty view may be one of nothing, which is no event for net.h. */
inline const char *bytes(std::string_view text) noexcept { return text.data() != nullptr ? text.data() : ""; }

/** As many milliseconds as an int has; all negative ones are alike. */
inline int whole(std::chrono::milliseconds wait) noexcept {
    constexpr int most = std::numeric_limits<int>::max();
    return wait.count() < 0 ? -1 : wait.count() < most ? static_cast<int>(wait.count()) : most;
}

/** Puts what `write` writes into `text`, in as much memory as it takes. After a failure it is empty. */
template <typename Write> int try_write(std::string &text, Write write) {
    for (std::size_t len = 4096;; len *= 2) {
        text.resize(len);
        int count = write(text.data(), len);
        if (count != NET_ERR_BUFFER_TOO_SMALL) {
            text.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
            return count;
        }
    }
}

/** The text with which `fill` fills a string. */
template <typename Fill> std::string filled(Fill fill) {
    std::string text;
    checked(fill(text));
    return text;
}

template <auto Release> struct released_by {
    template <typename Raw> void operator()(Raw *raw) const noexcept { Release(raw); }
};

template <typename Raw, auto Release> using owned = std::unique_ptr<Raw, released_by<Release>>;

} // namespace detail

/** An event as it was stored. */
struct event {
    std::string_view id;
    std::string_view raw;
    std::uint64_t insertion_ts;
    std::uint16_t shard_id;
};

/** Events that lie in the library's memory, in their order. False when a subscription has come to its end. */
class events {
public:
    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = event;
        using difference_type = std::ptrdiff_t;
        using pointer = void;
        using reference = event;

        iterator() noexcept = default;
        event operator*() const noexcept {
            return {{at_->id, at_->id_len}, {at_->raw, at_->raw_len}, at_->insertion_ts, at_->shard_id};
        }
        iterator &operator++() noexcept { return ++at_, *this; }
        iterator operator++(int) noexcept { return iterator(at_++); }
        bool operator==(iterator other) const noexcept { return at_ == other.at_; }
        bool operator!=(iterator other) const noexcept { return at_ != other.at_; }

    private:
        friend events;
        explicit iterator(const net_event_t *at) noexcept : at_(at) {}
        const net_event_t *at_ = nullptr;
    };

    events() noexcept = default;
    events(const net_event_t *first, std::size_t count) noexcept : first_(first), count_(count) {}

    [[nodiscard]] explicit operator bool() const noexcept { return first_ != nullptr; }
    [[nodiscard]] iterator begin() const noexcept { return iterator(first_); }
    [[nodiscard]] iterator end() const noexcept { return iterator(first_ + count_); }
    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
    [[nodiscard]] event operator[](std::size_t index) const noexcept { return *iterator(first_ + index); }

private:
    const net_event_t *first_ = nullptr;
    std::size_t count_ = 0;
};

/** What a poll has found. */
class page {
public:
    page() noexcept = default;
    page(page &&other) noexcept : result_(std::exchange(other.result_, net_poll_result_t{})) {}
    page &operator=(page other) noexcept {
        std::swap(result_, other.result_);
        return *this;
    }
    ~page() { net_free_poll_result(&result_); }

    [[nodiscard]] events::iterator begin() const noexcept { return all().begin(); }
    [[nodiscard]] events::iterator end() const noexcept { return all().end(); }
    [[nodiscard]] std::size_t size() const noexcept { return result_.count; }
    [[nodiscard]] event operator[](std::size_t index) const noexcept { return all()[index]; }

    /** Where to poll next; nullptr if nothing was ever examined. Assigning to this page may take it as an argument. */
    [[nodiscard]] const char *cursor() const noexcept { return result_.next_id; }
    [[nodiscard]] bool has_more() const noexcept { return result_.has_more != 0; }

private:
    friend class bus;
    explicit page(const net_poll_result_t &result) noexcept : result_(result) {}
    [[nodiscard]] events all() const noexcept { return {result_.events, result_.count}; }
    net_poll_result_t result_{};
};

/** Events to be published with one call. Views only: their bytes are to stay until then. */
class batch {
public:
    void add(std::string_view text) {
        texts_.push_back(detail::bytes(text));
        lens_.push_back(text.size());
    }
    void clear() noexcept {
        texts_.clear();
        lens_.clear();
        failed_len_ = 0;
    }
    [[nodiscard]] std::size_t size() const noexcept { return texts_.size(); }

    /** After a call: how many were not accepted, and the index of each, which rise. */
    [[nodiscard]] std::size_t failed_count() const noexcept { return failed_len_; }
    [[nodiscard]] std::size_t failed(std::size_t index) const noexcept { return failed_[index]; }

private:
    friend class bus;
    std::vector<const char *> texts_;
    std::vector<std::size_t> lens_;
    std::vector<std::size_t> failed_;
    std::size_t failed_len_ = 0;
};

/** An event's place in the bus. What is not committed is given up. */
class claim {
public:
    claim() noexcept = default;
    claim(claim &&other) noexcept : raw_(std::exchange(other.raw_, net_claim_t{})) {}
    claim &operator=(claim other) noexcept {
        std::swap(raw_, other.raw_);
        return *this;
    }
    ~claim() {
        if (raw_.data != nullptr) {
            net_abort(&raw_);
        }
    }

    /** Where to write; nullptr once it has ended. */
    [[nodiscard]] char *data() const noexcept { return static_cast<char *>(raw_.data); }
    [[nodiscard]] std::size_t size() const noexcept { return raw_.len; }

    [[nodiscard]] int try_commit(net_receipt_t *out = nullptr) noexcept { return net_commit(&raw_, out); }
    void commit(net_receipt_t *out = nullptr) { detail::checked(try_commit(out)); }

private:
    friend class bus;
    explicit claim(const net_claim_t &raw) noexcept : raw_(raw) {}
    net_claim_t raw_{};
};

/** A way into the bus for code that hops between threads: used by one at a time. */
class producer {
public:
    producer() noexcept = default;
    [[nodiscard]] explicit operator bool() const noexcept { return raw_ != nullptr; }
    [[nodiscard]] net_producer_t *get() const noexcept { return raw_.get(); }

    /** Waits for room; a key that is a view of nothing is none. */
    [[nodiscard]] int try_publish(std::string_view key, std::string_view text, std::chrono::milliseconds wait,
                                  net_receipt_t *out = nullptr) noexcept {
        return net_producer_ingest(get(), key.data(), key.size(), detail::bytes(text), text.size(), detail::whole(wait), out);
    }
    void publish(std::string_view key, std::string_view text, std::chrono::milliseconds wait,
                 net_receipt_t *out = nullptr) {
        detail::checked(try_publish(key, text, wait, out));
    }

private:
    friend class bus;
    detail::owned<net_producer_t, net_producer_close> raw_;
};

/** A cursor that the shards push into: used by one thread at a time. */
class subscription {
public:
    subscription() noexcept = default;
    [[nodiscard]] explicit operator bool() const noexcept { return raw_ != nullptr; }
    [[nodiscard]] net_subscription_t *get() const noexcept { return raw_.get(); }

    /** Up to `max` events, written to `buffer` and given as `out`: none if none came in time. */
    [[nodiscard]] int try_next(net_event_t *buffer, std::size_t max, std::chrono::milliseconds wait,
                               events &out) noexcept {
        int count = net_next(get(), buffer, max, detail::whole(wait));
        if (count >= 0) {
            out = {buffer, static_cast<std::size_t>(count)};
        }
        return count;
    }

    /** The events that are there or come in time; none when the bus has ended and everything was given. */
    template <std::size_t Max>
    [[nodiscard]] events next(std::array<net_event_t, Max> &buffer, std::chrono::milliseconds wait = forever) {
        events found;
        int code = try_next(buffer.data(), Max, wait, found);
        detail::checked(code == NET_ERR_SHUTTING_DOWN ? NET_SUCCESS : code);
        return found;
    }

    /** Readable when there may be events. To be taken out of an epoll before this object ends. */
    [[nodiscard]] int try_fd() const noexcept { return net_subscription_fd(get()); }
    [[nodiscard]] int fd() const { return detail::checked(try_fd()); }

    /** Where to go on: behind everything that `next` has given. */
    [[nodiscard]] int try_cursor(std::string &out, std::uint64_t *skipped = nullptr) const {
        return detail::try_write(
            out, [&](char *text, std::size_t len) { return net_subscription_cursor(get(), text, len, skipped); });
    }
    [[nodiscard]] std::string cursor(std::uint64_t *skipped = nullptr) const {
        return detail::filled([&](std::string &out) { return try_cursor(out, skipped); });
    }

private:
    friend class bus;
    detail::owned<net_subscription_t, net_unsubscribe> raw_;
};

/** A bus. */
class bus {
public:
    bus() noexcept = default;
    /** Starts one; nullptr means all defaults. */
    explicit bus(const char *config) { detail::checked(start(config, *this)); }
    /** Starts one in `out`, which ends the one that is there. */
    [[nodiscard]] static int start(const char *config, bus &out) noexcept {
        net_handle_t handle = nullptr;
        int code = net_init_ex(config, &handle);
        if (code == NET_SUCCESS) {
            out.raw_.reset(handle);
        }
        return code;
    }
    [[nodiscard]] explicit operator bool() const noexcept { return raw_ != nullptr; }
    /** For the functions of net.h that have no form here. */
    [[nodiscard]] net_handle_t get() const noexcept { return raw_.get(); }

    /** One event, which is UTF-8. */
    [[nodiscard]] int try_publish(std::string_view text, net_receipt_t *out = nullptr) const noexcept {
        return net_ingest_raw_ex(get(), detail::bytes(text), text.size(), out);
    }
    void publish(std::string_view text, net_receipt_t *out = nullptr) const { detail::checked(try_publish(text, out)); }

    /** One event, which is a JSON document. */
    [[nodiscard]] int try_publish_json(std::string_view text) const noexcept {
        return net_ingest(get(), detail::bytes(text), text.size());
    }
    void publish_json(std::string_view text) const { detail::checked(try_publish_json(text)); }

    /** One event under a key; one that is a view of nothing is none. */
    [[nodiscard]] int try_publish_keyed(std::string_view key, std::string_view text,
                                        net_receipt_t *out = nullptr) const noexcept {
        return net_ingest_keyed(get(), key.data(), key.size(), detail::bytes(text), text.size(), out);
    }
    void publish_keyed(std::string_view key, std::string_view text, net_receipt_t *out = nullptr) const {
        detail::checked(try_publish_keyed(key, text, out));
    }

    /** Returns how many were accepted; the batch has the others. Allocates when a batch has grown since its last call. */
    [[nodiscard]] int try_publish_batch(batch &events) const {
        events.failed_len_ = 0;
        /* A batch that never had an event has no memory, and net.h wants some. */
        events.failed_.resize(events.size() + 1);
        events.texts_.reserve(1);
        events.lens_.reserve(1);
        return net_ingest_raw_batch_ex(get(), events.texts_.data(), events.lens_.data(), events.size(),
                                       events.failed_.data(), &events.failed_len_);
    }
    std::size_t publish_batch(batch &events) const {
        return static_cast<std::size_t>(detail::checked(try_publish_batch(events)));
    }

    /** The place of an event of `len` bytes, for the calling thread to write and commit. */
    [[nodiscard]] int try_claim(std::string_view key, std::size_t len, net::claim &out) const noexcept {
        net_claim_t raw;
        int code = net_claim(get(), key.data(), key.size(), len, &raw);
        if (code == NET_SUCCESS) {
            out = net::claim(raw);
        }
        return code;
    }
    [[nodiscard]] net::claim claim(std::string_view key, std::size_t len) const {
        net::claim place;
        detail::checked(try_claim(key, len, place));
        return place;
    }

    [[nodiscard]] int try_open_producer(producer &out) const noexcept {
        net_producer_t *raw = nullptr;
        int code = net_producer_open(get(), &raw);
        if (code == NET_SUCCESS) {
            out.raw_.reset(raw);
        }
        return code;
    }
    [[nodiscard]] producer open_producer() const {
        producer opened;
        detail::checked(try_open_producer(opened));
        return opened;
    }

    /** Everything accepted before is stored. */
    [[nodiscard]] int try_flush() const noexcept { return net_flush(get()); }
    void flush() const { detail::checked(try_flush()); }

    /** Up to `limit` events from `cursor` on; nullptr is the oldest. */
    [[nodiscard]] int try_poll(std::size_t limit, const char *cursor, page &out) const noexcept {
        net_poll_result_t result;
        int code = net_poll_ex(get(), limit, cursor, &result);
        if (code == NET_SUCCESS) {
            out = page(result);
        }
        return code;
    }
    [[nodiscard]] page poll(std::size_t limit, const char *cursor = nullptr) const {
        page found;
        detail::checked(try_poll(limit, cursor, found));
        return found;
    }

    /** net_poll: a request in JSON, with a filter or an order by time, and its answer in JSON. */
    [[nodiscard]] int try_poll_json(const char *request, std::string &out) const {
        return detail::try_write(out, [&](char *text, std::size_t len) { return net_poll(get(), request, text, len); });
    }
    [[nodiscard]] std::string poll_json(const char *request) const {
        return detail::filled([&](std::string &out) { return try_poll_json(request, out); });
    }

    [[nodiscard]] int try_subscribe(const char *request, subscription &out) const noexcept {
        net_subscription_t *raw = nullptr;
        int code = net_subscribe(get(), request, &raw);
        if (code == NET_SUCCESS) {
            out.raw_.reset(raw);
        }
        return code;
    }
    [[nodiscard]] subscription subscribe(const char *request = "{}") const {
        subscription made;
        detail::checked(try_subscribe(request, made));
        return made;
    }

    /** net_stats, as JSON. */
    [[nodiscard]] int try_stats(std::string &out) const {
        return detail::try_write(out, [&](char *text, std::size_t len) { return net_stats(get(), text, len); });
    }
    [[nodiscard]] std::string stats() const {
        return detail::filled([&](std::string &out) { return try_stats(out); });
    }
    /** net_metrics, for Prometheus. */
    [[nodiscard]] int try_metrics(std::string &out) const {
        return detail::try_write(out, [&](char *text, std::size_t len) { return net_metrics(get(), text, len); });
    }
    [[nodiscard]] std::string metrics() const {
        return detail::filled([&](std::string &out) { return try_metrics(out); });
    }

    /** Ends the bus; every later call answers NET_ERR_SHUTTING_DOWN. `*not_stored` is written on NET_ERR_TIMEOUT too. */
    [[nodiscard]] int try_shutdown_within(std::chrono::milliseconds limit, std::uint64_t *not_stored) const noexcept {
        return net_shutdown_within(get(), detail::whole(limit), not_stored);
    }
    /** Ends the bus, and returns how many events could not be stored in time. */
    std::uint64_t shutdown_within(std::chrono::milliseconds limit) const {
        std::uint64_t not_stored = 0;
        int code = try_shutdown_within(limit, &not_stored);
        detail::checked(code == NET_ERR_TIMEOUT ? NET_SUCCESS : code);
        return not_stored;
    }

private:
    detail::owned<void, net_shutdown> raw_;
};

} // namespace net

#endif

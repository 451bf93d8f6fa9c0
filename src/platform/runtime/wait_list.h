#pragma once

#include "platform/base/check.h"

#include <coroutine>

namespace weft {

// A node of a circular doubly linked list. It leaves its list when destroyed, and a list that
// is destroyed lets go of its nodes, so neither has to outlive the other: this is what makes
// it safe to destroy a suspended coroutine at any await.
class ListNode {
public:
    ListNode() = default;
    ListNode(const ListNode&) = delete;
    ListNode& operator=(const ListNode&) = delete;
    ~ListNode() { unlink(); }

    bool linked() const { return next_ != this; }
    void unlink() {
        previous_->next_ = next_;
        next_->previous_ = previous_;
        previous_ = next_ = this;
    }
    void insert_before(ListNode& position) {
        CHECK(!linked());
        previous_ = position.previous_;
        next_ = &position;
        previous_->next_ = this;
        position.previous_ = this;
    }
    ListNode* next() const { return next_; }

private:
    ListNode* previous_ = this;
    ListNode* next_ = this;
};

// Nodes of type T (derived from ListNode) in first-in first-out order. Owns nothing.
template <class T>
class List {
public:
    List() = default;
    ~List() {
        while (!empty()) pop_front();
    }
    bool empty() const { return !head_.linked(); }
    T* front() { return empty() ? nullptr : static_cast<T*>(head_.next()); }
    void push_back(T& node) { node.insert_before(head_); }
    T* pop_front() {
        T* node = front();
        if (node != nullptr) node->unlink();
        return node;
    }

private:
    ListNode head_;
};

// A suspended coroutine in some queue.
struct Waiter : ListNode {
    std::coroutine_handle<> handle;
};
using WaitList = List<Waiter>;

}  // namespace weft

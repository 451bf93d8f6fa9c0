// Linked against one whole library: undefined symbols from layers above it fail here.
int main() {
    return 0;
}

// The least program that has a C library. Linked statically it is what ratios are taken to.
int main() {
    return 0;
}
